/** Mistakes in the use of real programs are found, in their own loaders. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Checker, formatReport, instrument, loadChecked } from "#src/wasm/index.js";
import { fixture, type Numbers, plain } from "../support/fixtures.js";
import {
  quickJs,
  quickJsStart,
  type RealProgram,
  renderer,
  rendererStart,
  sqlite,
  sqliteStart,
} from "../support/programs.js";

function checkerOf({ bytes, options }: RealProgram): Checker {
  return new Checker(instrument(bytes, options), { javascript: false });
}

const firstLine = (text: string) => text.split("\n")[0];

test("SQLite: a block is freed twice, and used after that", async () => {
  const checker = checkerOf(sqlite);
  const { wasm } = await sqliteStart(checker);
  const ptr = wasm.alloc(40) as unknown as number;
  wasm.dealloc(ptr);
  wasm.dealloc(ptr);
  wasm.exports.sqlite3_complete?.(ptr);
  const texts = checker.reports.map(formatReport);
  // SQLite keeps the size of a block in its first 8 bytes.
  const block = (ptr - 8).toString(16);
  assert.deepEqual(texts.map(firstLine), [
    `use-after-free: read of 4 bytes at 0x${block}`,
    `double-free: free of 0x${block}`,
    `use-after-free: read of 1 byte at 0x${ptr.toString(16)}`,
  ]);
  assert.match(texts[2] as string, / {4}at sqlite3_complete\n/);
});

test("SQLite: a text without an end in its block", async () => {
  const checker = checkerOf(sqlite);
  const { wasm } = await sqliteStart(checker);
  const ptr = wasm.exports.malloc?.(3) as unknown as number;
  new Uint8Array(checker.memory.buffer).fill(0x20, ptr, ptr + 3);
  wasm.exports.sqlite3_complete?.(ptr);
  assert.equal(checker.reports[0]?.kind, "heap-overflow");
  assert.match(
    checker.reports[0]?.where as string,
    /^0 bytes behind the end of a block of 3 bytes/,
  );
});

test("QuickJS: a handle that is not disposed of is a leak", async () => {
  const checker = checkerOf(quickJs);
  const runtime = (await quickJsStart(checker)).newRuntime();
  const context = runtime.newContext();
  const text = context.newString("a text that nobody lets go");
  assert.equal(context.getString(text), "a text that nobody lets go");
  context.dispose();
  runtime.dispose();
  assert.deepEqual(checker.leaks().reports.map(formatReport).map(firstLine), [
    "leak: 8 bytes in 1 block, allocated by malloc",
    "indirect-leak: 43 bytes in 1 block, allocated by malloc",
  ]);
  assert.deepEqual(checker.reports, []);
});

test("resvg: a box that is not freed is a leak, with the export that allocated it", async () => {
  const checker = checkerOf(renderer);
  const { Resvg } = await rendererStart(checker);
  const image = new Resvg(
    '<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
  );
  image.getBBox();
  image.free();
  assert.deepEqual(checker.leaks().reports.map(formatReport), [
    "leak: 40 bytes in 1 block, allocated by malloc\n    at resvg_getBBox",
  ]);
});

test("loadChecked does not change other modules, and restores the engine's functions", async () => {
  const before = [WebAssembly.Instance, WebAssembly.instantiate];
  const other = fixture("inline-dwarf4.wasm");
  const checker = new Checker(instrument(fixture("boxes.wasm")), { javascript: false });
  const instances = await loadChecked(checker, async (module) => [
    new WebAssembly.Instance(module),
    await WebAssembly.instantiate(await WebAssembly.compile(other)),
    (await WebAssembly.instantiate(other)).instance,
  ]);
  assert.deepEqual([WebAssembly.Instance, WebAssembly.instantiate], before);
  assert.ok(instances.every((each) => each instanceof WebAssembly.Instance));
  const [boxes] = instances.map((each) => each.exports as Numbers);
  assert.equal(boxes?.correct?.(1000), plain(fixture("boxes.wasm")).correct?.(1000));
  boxes?.overflow?.(4);
  assert.equal(checker.reports[0]?.kind, "heap-overflow");
});

test("loadChecked: two loaders at once, and one that fails", async () => {
  const before = [WebAssembly.Instance, WebAssembly.instantiate];
  const checkers = [1, 2].map(() => new Checker(instrument(fixture("boxes.wasm"))));
  const loads = checkers.map((checker) =>
    loadChecked(checker, async (module) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return await WebAssembly.instantiate(module);
    }),
  );
  const failing = checkers.map((checker) =>
    loadChecked(checker, () => {
      throw new Error("no network");
    }),
  );
  await Promise.all(failing.map((each) => assert.rejects(each, { message: "no network" })));
  for (const [i, instance] of (await Promise.all(loads)).entries()) {
    (instance.exports as Numbers).overflow?.(4);
    assert.equal(checkers[i]?.reports.length, 1);
  }
  assert.deepEqual([WebAssembly.Instance, WebAssembly.instantiate], before);
  await assert.rejects(
    loadChecked(checkers[0] as Checker, () => 7),
    { name: "RangeError", message: "the loader has not instantiated the checked module" },
  );
});
