/** Memory that was filled and is empty again is one piece. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap, type Heap } from "terrane";
import { javascript } from "terrane/javascript";
import { wasmMemory } from "terrane/memory";
import { createSharedHeap } from "terrane/shared";

const MIB = 2 ** 20;

function fill(heap: Pick<Heap, "malloc">, size: number): number[] {
  const blocks: number[] = [];
  for (let p = heap.malloc(size); p !== 0; p = heap.malloc(size)) blocks.push(p);
  return blocks;
}

const makers = {
  "for one thread": (maximum: number) => createHeap({ maximum }),
  "for threads": (maximum: number) => createSharedHeap({ maximum }),
  "over a memory that does not name its maximum": (maximum: number) => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: maximum / 65536 });
    return createHeap({ memory: wasmMemory({ memory, offset: 0 }) });
  },
  "in JavaScript": (maximum: number) => createHeap({ backend: javascript, maximum }),
};

for (const [name, make] of Object.entries(makers)) {
  for (const size of [1000, 60000, 100000]) {
    test(`a heap ${name}, filled with blocks of ${size}, is one piece when they are free`, () => {
      const maximum = (name === "in JavaScript" ? 96 : 160) * MIB;
      const heap = make(maximum);
      for (const p of fill(heap, size)) heap.free(p);
      heap.collect(true);
      const { largestFreeBytes, freeBytes, fragmentation, blocks } = heap.stats();
      assert.equal(blocks, 0);
      assert.ok(largestFreeBytes >= 0.97 * maximum, `${largestFreeBytes} of ${maximum}`);
      assert.ok(freeBytes >= largestFreeBytes && fragmentation < 0.03);
      assert.notEqual(heap.malloc(largestFreeBytes), 0);
      assert.equal(heap.stats().freeBytes, freeBytes - largestFreeBytes);
    });
  }
}

test("a heap of 4 GiB, filled and emptied, is one piece", () => {
  const heap = createHeap();
  const blocks = fill(heap, 4 * MIB - 1);
  for (const p of blocks) heap.free(p);
  assert.ok(blocks.length > 1015, `${blocks.length} blocks`);
  assert.ok(heap.stats().largestFreeBytes >= 0.97 * 2 ** 32);
});

test("slices that are kept for tables are given back before malloc returns 0", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 160 });
  const heap = createHeap({ memory: wasmMemory({ memory, offset: 0 }) });
  const blocks = fill(heap, 65536);
  assert.ok(blocks.length >= 158, `${blocks.length} of 160 slices`);
  for (const p of blocks) heap.free(p);
  assert.equal(heap.malloc(blocks.length * 65536) !== 0, true);
});

test("largestFreeBytes and fragmentation show what lies between the free slices", () => {
  for (const heap of [createHeap({ maximum: 2 ** 24 }), createSharedHeap({ maximum: 2 ** 24 })]) {
    const blocks = Array.from({ length: 9 }, () => heap.malloc(2 ** 20));
    for (const p of blocks.filter((_, index) => index % 2 === 1)) heap.free(p);
    const { freeBytes, largestFreeBytes, fragmentation } = heap.stats();
    assert.ok(largestFreeBytes >= 2 ** 20 && largestFreeBytes <= freeBytes - 3 * 2 ** 20);
    assert.equal(fragmentation, 1 - largestFreeBytes / freeBytes);
  }
});

test("a heap whose slices are all in pages has no fragmentation", () => {
  const heap = createHeap({ maximum: 4 * 65536 });
  fill(heap, 65536);
  const { freeBytes, largestFreeBytes, fragmentation } = heap.stats();
  assert.deepEqual(
    { freeBytes, largestFreeBytes, fragmentation },
    {
      freeBytes: 0,
      largestFreeBytes: 0,
      fragmentation: 0,
    },
  );
});
