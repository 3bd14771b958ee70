/** The C functions of guarded allocators, called from JavaScript and from wasm. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap, type Heap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { wasmMemory, withOsPages } from "#src/memory/index.js";
import { skip, skipTraps } from "../../support/os.js";
import { record, trap } from "./record.js";

interface Caller {
  get(size: number): number;
  put(ptr: number): void;
}

/** A module that imports an allocator, and calls it for its exports get and put. */
function looper(malloc: unknown, free: unknown): Caller {
  const bytes = Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...[1, 10, 2, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 0],
    ...[2, 13, 2, 1, 0x61, 1, 0x6d, 0, 0, 1, 0x61, 1, 0x66, 0, 1],
    ...[3, 3, 2, 0, 1],
    ...[7, 13, 2, 3, 0x67, 0x65, 0x74, 0, 2, 3, 0x70, 0x75, 0x74, 0, 3],
    ...[10, 15, 2, 6, 0, 0x20, 0, 0x10, 0, 0x0b, 6, 0, 0x20, 0, 0x10, 1, 0x0b],
  ]);
  const imports = { a: { m: malloc, f: free } } as WebAssembly.Imports;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
  return exports as unknown as Caller;
}

const backs: [string, () => Heap][] = [
  ["wasm", () => createHeap({ release: withOsPages })],
  ["js", () => createHeap({ release: withOsPages, backend: javascript, memory: wasmMemory() })],
];

for (const [name, create] of backs) {
  test(`${name}: C's functions, for a wasm module`, { skip: skipTraps }, () => {
    const { heap, guardedHeap, wasm } = record({ place: "end", slots: 32 }, create());
    const { abi } = guardedHeap;
    const ptr = abi.malloc(64);
    assert.throws(() => wasm.load(ptr + 64), trap);
    assert.equal(abi.malloc_usable_size(ptr), 64);
    assert.equal(abi.malloc(-1), 0);
    assert.equal(abi.calloc(0x10000, 0x10000), 0);
    assert.equal(abi.realloc(ptr, -1), 0);
    assert.equal(abi.reallocarray(ptr, 0x10000, 0x10000), 0);
    const moved = abi.realloc(ptr, 128);
    assert.throws(() => wasm.load(ptr), trap);
    assert.equal(abi.memalign(256, 100) % 256, 0);
    assert.equal(abi.aligned_alloc(3, 100), 0);
    const out = abi.calloc(1, 4);
    assert.equal(abi.posix_memalign(out, 64, 100), 0);
    assert.equal((heap.u32[out >>> 2] as number) % 64, 0);
    assert.equal(abi.posix_memalign(out, 3, 100), 28);
    assert.equal(abi.posix_memalign(out, 64, -1), 48);
    abi.free(moved);
    abi.free(0);
    assert.throws(() => wasm.load(moved), trap);
    guardedHeap.destroy();
    const after = abi.malloc(64);
    assert.equal(guardedHeap.isGuarded(after), false);
    abi.free(after);
  });

  test(`${name}: calls from wasm are guarded one in so many too, and stacks begin at the caller`, {
    skip,
  }, () => {
    const heap = create();
    const { guardedHeap, reports } = record(
      { every: 10, seed: 3, slots: 2000, mostPerSecond: 0 },
      heap,
    );
    // A function of WebAssembly has a number as its name: then no JavaScript is called.
    assert.equal(/^\d+$/.test(guardedHeap.abi.malloc.name), name === "wasm");
    const caller = looper(guardedHeap.abi.malloc, guardedHeap.abi.free);
    const ptrs = Array.from({ length: 5000 }, () => caller.get(40) >>> 0);
    const chosen = ptrs.filter((ptr) => guardedHeap.isGuarded(ptr));
    assert.ok(chosen.length > 400 && chosen.length < 600, `${chosen.length} of 5000`);
    for (const ptr of ptrs) caller.put(ptr);
    assert.deepEqual([guardedHeap.stats().blocks, reports], [0, []]);
    caller.put(chosen[0] as number);
    assert.equal(reports[0]?.code, "ERR_DOUBLE_FREE");
    const tops = reports[0]?.stacks.map(({ frames }) => frames[0]?.url ?? "");
    assert.equal(tops?.length, 3);
    for (const top of tops ?? []) assert.match(top, /wasm-function\[[23]\]/);
  });
}
