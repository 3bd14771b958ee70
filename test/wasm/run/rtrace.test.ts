/** The runtime trace of AssemblyScript, against its own compiler and runtime. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BLOCK_OVERHEAD, OBJECT_OVERHEAD, Rtrace, TOTAL_OVERHEAD } from "#src/wasm/index.js";
import { compile } from "../support/assemblyscript.js";

const SOURCE = `
class Pair { a: i32 = 1; b: i32 = 2 }
let kept: Pair | null = null;
export function churn(n: i32): i32 {
  const list: string[] = [];
  for (let i = 0; i < n; i++) list.push(i.toString());
  return list.join(",").length;
}
export function keep(): void { kept = new Pair(); }
export function drop(): void { kept = null; }
export function raw(n: i32): usize { return heap.alloc(n); }
export function resize(p: usize, n: i32): usize { return heap.realloc(p, n); }
export function release(p: usize): void { heap.free(p); }
`;

interface Exports {
  readonly memory: WebAssembly.Memory;
  churn(n: number): number;
  keep(): void;
  drop(): void;
  raw(n: number): number;
  resize(p: number, n: number): number;
  release(p: number): void;
  __collect(): void;
}

const bytes = await compile(SOURCE, "--debug", "--exportRuntime", "--use", "ASC_RTRACE=1");

function start() {
  const errors: string[] = [];
  const infos: string[] = [];
  const state: { exports?: Exports } = {};
  const trace = new Rtrace({
    getMemory: () => (state.exports as Exports).memory,
    onerror: (error) => errors.push(error.message),
    oninfo: (text) => infos.push(text),
  });
  const imports = trace.install({ env: { abort: () => undefined } });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
  const exports = instance.exports as unknown as Exports;
  state.exports = exports;
  return { trace, exports, errors, infos };
}

test("a correct program has no error, and nothing is left after a collection", () => {
  const { trace, exports, errors, infos } = start();
  assert.equal(trace.active, false);
  assert.equal(exports.churn(300), 300 * 2 + 90 + 200 + 200 - 1 + 0 * trace.heapBase);
  assert.equal(trace.active, true);
  exports.__collect();
  exports.__collect();
  assert.deepEqual(errors, []);
  assert.equal(trace.check(), 0);
  assert.ok(trace.allocCount > 300 && trace.freeCount === trace.allocCount);
  assert.ok(trace.collectCount >= 1);
  assert.match(infos[0] as string, /^INIT heapBase=\d+$/);
});

test("live blocks have their size, their class and the stack of their allocation", () => {
  const { trace, exports, errors, infos } = start();
  exports.keep();
  exports.__collect();
  assert.equal(trace.check(), 1);
  const [block] = trace.blocks;
  assert.ok(block);
  const { ptr, size, rtSize, allocStack } = block;
  assert.equal((size - BLOCK_OVERHEAD) % 16, 12);
  assert.equal(rtSize, 0); // the object is made after the block
  assert.equal(trace.getBlockInfo(ptr).rtSize, 8);
  assert.ok(allocStack.some((line) => line.includes("main/keep")));
  assert.ok(infos.at(-1)?.startsWith(`LIVE ${ptr}\n`));
  exports.drop();
  exports.__collect();
  exports.__collect();
  assert.equal(trace.check(), 0);
  assert.deepEqual(errors, []);
  assert.equal(TOTAL_OVERHEAD, BLOCK_OVERHEAD + OBJECT_OVERHEAD);
});

test("resizes and moves are followed", () => {
  const { trace, exports, errors } = start();
  const first = exports.raw(100);
  const second = exports.raw(10);
  const moved = exports.resize(first, 5000);
  assert.notEqual(moved, first);
  exports.resize(moved, 5100);
  assert.equal(trace.moveCount, 1);
  assert.ok(trace.resizeCount >= 1);
  for (const ptr of [moved, second]) exports.release(ptr);
  assert.equal(trace.check(), 0);
  assert.deepEqual(errors, []);
});

test("events of pointers that are not blocks are errors", () => {
  const { trace, exports, errors } = start();
  const { rtrace } = trace.install() as unknown as {
    rtrace: Record<string, (...args: number[]) => unknown>;
  };
  const ptr = exports.raw(40) - BLOCK_OVERHEAD;
  const free = trace.blocks[0]?.size as number;
  rtrace.onalloc?.(ptr);
  rtrace.onresize?.(ptr, free + 16);
  new DataView(exports.memory.buffer).setUint32(ptr, 92, true);
  rtrace.onfree?.(ptr);
  rtrace.onfree?.(ptr);
  rtrace.onresize?.(ptr + 64, 16);
  rtrace.onmove?.(ptr + 64, ptr + 128);
  assert.equal(rtrace.onvisit?.(ptr), 0);
  assert.equal(rtrace.onvisit?.(8), 1);
  assert.deepEqual(
    errors.map((text) => text.split("\n")[0]),
    [
      `duplicate alloc: ${ptr}`,
      `size mismatch upon resize: ${ptr} (${free} != ${free + 16})`,
      `size mismatch upon free: ${ptr} (${free} != 96)`,
      `orphaned free: ${ptr}`,
      `orphaned resize: ${ptr + 64}`,
      `orphaned move (old): ${ptr + 64}`,
      `orphaned visit: ${ptr}`,
    ],
  );
  assert.match(errors[3] as string, /\nfreed before:\n/);
});

test("getMemory is required", () => {
  assert.throws(() => new Rtrace({} as never), {
    name: "TypeError",
    message: "getMemory must be a function that returns the module's memory",
  });
});
