/** Random programs have the same results with added code, and nothing is reported. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ModuleEditor, readModule } from "#src/wasm/index.js";
import { seedOf } from "../../support/random.js";
import { checked, leb, moduleOf, plain, section } from "../support/fixtures.js";

const I32 = 0x7f;
const I64 = 0x7e;

/** An expression of type i32 over two parameters and a local, as bytes. */
type Code = readonly number[];

const constant = fc.integer({ min: -64, max: 63 }).map((value): Code => [0x41, value & 0x7f]);
const local = fc.nat(2).map((index): Code => [0x20, index]);
/** Loads and stores of i32 and i64 by opcode, and the type of their value. */
const loads = [0x28, 0x2c, 0x2d, 0x2e, 0x2f, 0x29, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35] as const;
const stores = [0x36, 0x3a, 0x3b, 0x37, 0x3c, 0x3d, 0x3e] as const;
const isLong = (op: number) =>
  op === 0x29 || (op >= 0x30 && op <= 0x35) || op === 0x37 || op > 0x3b;

/** Addresses stay within the first page, whatever the expression returns. */
const within = (address: Code): Code => [...address, 0x41, ...[0xff, 0xff, 0x01], 0x71];

const { expression } = fc.letrec<{ expression: Code; statement: Code }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    constant,
    local,
    fc
      .tuple(
        tie("expression"),
        tie("expression"),
        fc.constantFrom(0x6a, 0x6b, 0x6c, 0x71, 0x73, 0x74),
      )
      .map(([a, b, op]): Code => [...a, ...b, op]),
    fc
      .tuple(tie("expression"), fc.constantFrom(...loads), fc.nat(300))
      .map(([address, op, offset]): Code => {
        const load = [...within(address), op, 0, ...leb(offset)];
        return isLong(op) ? [...load, 0xa7] : load;
      }),
    fc
      .tuple(tie("expression"), tie("expression"), tie("statement"))
      .map(([test, a, b]): Code => [...test, 0x04, I32, ...b, ...a, 0x05, ...test, 0x0b]),
    fc.tuple(tie("statement"), tie("expression")).map(([a, b]): Code => [...a, ...b]),
    fc.tuple(tie("expression"), tie("expression")).map(([a, b]): Code => [...a, ...b, 0x10, 0]),
    fc.constant<Code>([0x3f, 0]),
  ),
  statement: fc.oneof(
    { maxDepth: 5 },
    fc.tuple(tie("expression"), fc.nat(2)).map(([a, index]): Code => [...a, 0x21, index]),
    fc
      .tuple(tie("expression"), tie("expression"), fc.constantFrom(...stores), fc.nat(300))
      .map(([address, value, op, offset]): Code => {
        const long = isLong(op) ? [0xad] : [];
        return [...within(address), ...value, ...long, op, 0, ...leb(offset)];
      }),
    fc
      .tuple(tie("expression"), tie("expression"))
      .map(([to, from]): Code => [...within(to), ...within(from), 0x41, 9, 0xfc, 10, 0, 0]),
    fc.tuple(tie("expression")).map(([a]): Code => [0x02, 0x40, ...a, 0x0d, 0, 0x0b]),
    fc.constant<Code>([0x41, 1, 0x40, 0, 0x1a]),
  ),
}));

function program(body: Code): Uint8Array<ArrayBuffer> {
  const code = [1, 1, I32, ...body, 0x0b];
  return moduleOf(
    section(1, 2, 0x60, 2, I32, I32, 1, I32, 0x60, 1, I64, 0),
    section(2, 1, 3, ...bytes("env"), 4, ...bytes("call"), 0, 0),
    section(3, 1, 0),
    section(5, 1, 1, 2, 5),
    section(7, 2, 3, ...bytes("run"), 0, 1, 6, ...bytes("memory"), 2, 0),
    section(10, 1, ...leb(code.length), ...code),
    section(11, 1, 0, 0x41, 8, 0x0b, 4, 1, 2, 3, 4),
  );
}

function bytes(text: string): number[] {
  return [...new TextEncoder().encode(text)];
}

const imports = { env: { call: (a: number, b: number) => (a * 31 + b) | 0 } };
const RUNS: readonly (readonly [number, number])[] = [
  [0, 0],
  [1, 7],
  [-9, 1000],
];

/** Results of three runs, and the contents of the first page afterwards. */
function outcome(exports: Record<string, unknown>, memory: WebAssembly.Memory): unknown[] {
  const run = exports.run as (a: number, b: number) => number;
  const results: unknown[] = RUNS.map(([a, b]) => run(a, b));
  let hash = 0;
  for (const byte of new Uint8Array(memory.buffer, 0, 70_000)) hash = (hash * 31 + byte) | 0;
  return [...results, hash];
}

test("random programs: unchanged, extended and checked ones have the same results", () => {
  const property = fc.property(expression, (body) => {
    const original = program(body);
    const exports = plain(original, imports) as unknown as { memory: WebAssembly.Memory };
    const wanted = outcome({ ...exports }, exports.memory);

    const editor = new ModuleEditor(readModule(original));
    editor.importFunction("env", "more", [I32], []);
    editor.addGlobal(I32, true, 1);
    const more = { env: { ...imports.env, more: () => {} } };
    const changed = plain(editor.write().bytes, more) as unknown as typeof exports;
    assert.deepEqual(outcome({ ...changed }, changed.memory), wanted);

    for (const uninitialised of [false, true]) {
      const { checker, exports: watched } = checked(original, { uninitialised }, imports);
      assert.deepEqual(outcome(watched, checker.memory), wanted);
      assert.deepEqual(checker.reports, []);
    }
  });
  fc.assert(property, { seed: seedOf(5), numRuns: 150 });
});
