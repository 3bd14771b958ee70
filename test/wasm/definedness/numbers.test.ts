/**
 * Definedness against all possible values: a number with a few undefined bits is computed with all
 * values that these may have. If the result of a condition differs, it must be reported; if the
 * rule is exact, only then.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random, seedOf } from "../../support/random.js";
import { checked, leb, moduleOf, plain, section } from "../support/fixtures.js";

const I32 = 0x7f;
const VOID = 0x40;

/** run() → 1 when `body`, which leaves an i32, leaves another value than 0. */
function program(body: readonly number[]): Uint8Array<ArrayBuffer> {
  const code = [0, ...body, 0x04, VOID, 0x41, 1, 0x0f, 0x0b, 0x41, 0, 0x0b];
  return moduleOf(
    section(1, 1, 0x60, 0, 1, I32),
    section(3, 1, 0),
    section(5, 1, 0, 1),
    section(7, 2, 3, 0x72, 0x75, 0x6e, 0, 0, 1, 0x6d, 2, 0),
    section(10, 1, ...leb(code.length), ...code),
  );
}

const load = (type: "i32" | "i64", at: number) => [0x41, at, type === "i32" ? 0x28 : 0x29, 0, 0];

interface Case {
  readonly name: string;
  readonly type: "i32" | "i64";
  readonly operands: 1 | 2;
  /** Instructions that leave an i32, of the operands. */
  readonly code: readonly number[];
  readonly isExact: boolean;
}

/** The result of an integer operation as a condition. */
const asTest = (type: "i32" | "i64") => [type === "i32" ? 0x45 : 0x50];

function cases(): Case[] {
  const list: Case[] = [];
  const add = (
    name: string,
    type: "i32" | "i64",
    operands: 1 | 2,
    code: number[],
    exact: boolean,
  ) => list.push({ name: `${type} ${name}`, type, operands, code, isExact: exact });
  for (const type of ["i32", "i64"] as const) {
    const [tests, counts, first] = type === "i32" ? [0x45, 0x67, 0x6a] : [0x50, 0x79, 0x7c];
    add("zero test", type, 1, [tests], true);
    for (let i = 1; i <= 10; i++) add(`comparison ${i}`, type, 2, [tests + i], true);
    for (let i = 0; i < 3; i++) add(`count ${i}`, type, 1, [counts + i, ...asTest(type)], false);
    for (const i of [0, 1, 2]) add(`sum ${i}`, type, 2, [first + i, ...asTest(type)], false);
    for (const i of [7, 8]) add(`mask ${i}`, type, 2, [first + i, ...asTest(type)], true);
    add("xor", type, 2, [first + 9, ...asTest(type)], false);
    for (const i of [10, 11, 12, 13, 14]) {
      const shift = [type === "i32" ? 0x41 : 0x42, 5, first + i, ...asTest(type)];
      add(`shift ${i}`, type, 1, shift, true);
      add(`shift by ${i}`, type, 2, [first + i, ...asTest(type)], false);
    }
  }
  add("extension", "i32", 1, [0xac, 0x50], true);
  add("byte", "i32", 1, [0xc0, 0x45], true);
  add("wrap", "i64", 1, [0xa7], true);
  add("condition", "i32", 1, [], true);
  add("float", "i32", 2, [0xbe, 0x8c, 0xbc, 0x71], false);
  return list;
}

const bitsOf = (type: "i32" | "i64") => (type === "i32" ? 32 : 64);

/** A value of few or many set bits, so that zeros and equals occur. */
function valueOf(random: Random, bits: number): bigint {
  const parts = (BigInt(random.u32()) << 32n) | BigInt(random.u32());
  const value = random.below(3) === 0 ? parts & (BigInt(random.u32()) | 1n) & 0x11n : parts;
  return BigInt.asUintN(bits, value);
}

/** All values that undefined bits may have. */
function valuesOf(value: bigint, undefined: readonly number[]): bigint[] {
  return undefined.reduce(
    (all, bit) => all.flatMap((each) => [each, each ^ (1n << BigInt(bit))]),
    [value],
  );
}

for (const each of cases()) {
  test(`${each.name}: reported if undefined bits decide${each.isExact ? ", and only then" : ""}`, () => {
    const { type, operands, code } = each;
    const bits = bitsOf(type);
    const body = [...load(type, 0), ...(operands === 2 ? load(type, 16) : []), ...code];
    const original = plain(program(body)) as unknown as { run(): number; m: WebAssembly.Memory };
    const view = new DataView(original.m.buffer);
    const random = new Random(seedOf(11));
    for (let round = 0; round < 12; round++) {
      const a = valueOf(random, bits);
      const b = random.below(3) === 0 ? a : valueOf(random, bits);
      const open = [a, b].map(() =>
        Array.from({ length: random.below(3) }, () => random.below(bits)),
      ) as [number[], number[]];
      const results = new Set<number>();
      for (const first of valuesOf(a, open[0])) {
        for (const second of valuesOf(b, open[1])) {
          view.setBigUint64(0, first, true);
          view.setBigUint64(16, second, true);
          results.add(original.run());
        }
      }
      const isReported = reportedOf(program(body), [a, b], open);
      const text = `a ${a} open ${open[0]}, b ${b} open ${open[1]}, seed ${random.seed}`;
      if (results.size > 1) assert.equal(isReported, true, text);
      else if (each.isExact && operands === 1) assert.equal(isReported, false, text);
      else if (each.isExact && open[0].length * open[1].length === 0) {
        assert.equal(isReported, false, text);
      }
    }
  });
}

function reportedOf(
  bytes: Uint8Array<ArrayBuffer>,
  values: readonly bigint[],
  open: readonly (readonly number[])[],
): boolean {
  const { checker, exports } = checked(bytes, { uninitialised: true });
  const { definedStart, originStart } = checker.instrumented.layout;
  const view = new DataView(checker.memory.buffer);
  values.forEach((value, i) => {
    const mask = new Set(open[i]).size === 0 ? [] : [...new Set(open[i])];
    view.setBigUint64(i * 16, value, true);
    const undefined = mask.reduce((all, bit) => all | (1n << BigInt(bit)), 0n);
    view.setBigUint64(definedStart + i * 16, undefined, true);
    // As if an undefined value had been stored there.
    view.setUint32(originStart + i * 16, 1, true);
  });
  exports.run?.();
  return checker.reports.length > 0;
}
