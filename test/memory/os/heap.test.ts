/** Heaps that give memory back to the operating system. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import type { BackEnd } from "#src/heap/calls/contract.js";
import { createHeap } from "#src/heap/index.js";
import type { HeapHandle } from "#src/heap/shared.js";
import { osPages, type Releasing, tryOsPages, wasmMemory, withOsPages } from "#src/memory/index.js";
import { anyHeap } from "../../support/any-heap.js";
import { os, skip } from "../../support/os.js";

const MIB = 2 ** 20;

test("release: what the source of the heap can do", () => {
  const { available } = osPages();
  for (const backend of ["wasm", "js"] as BackEnd[]) {
    for (const shared of [false, true]) {
      const can = (release?: Releasing | false) =>
        anyHeap({ backend, shared, release } as { shared: true }).source.capabilities.canRelease;
      assert.deepEqual([can(), can(undefined), can(false)], [false, false, false]);
      assert.equal(can(tryOsPages), available);
      if (available) assert.equal(can(withOsPages), true);
    }
  }
});

test("release: wrong values are refused", () => {
  const cases: [value: unknown, given: string, name: string][] = [
    [1, "number", "tryOsPages"],
    ["auto", '"auto"', "tryOsPages"],
    [true, "true", "withOsPages"],
  ];
  for (const [value, given, name] of cases) {
    assert.throws(() => createHeap({ release: value as never }), {
      name: "TypeError",
      message:
        `release must be a function that is imported, not ${given}: ` +
        `import { ${name} } from "terrane/memory" and pass { release: ${name} }`,
    });
  }
});

test("release: a memory of the caller's gets operations, a source keeps those that it has", {
  skip,
}, () => {
  const memory = new WebAssembly.Memory({ initial: 2 });
  const heap = createHeap({ memory, release: withOsPages });
  assert.ok(heap.source.pages);
  assert.equal(heap.memory, memory);
  const source = withOsPages(wasmMemory());
  for (const release of [undefined, false, tryOsPages, withOsPages] as const) {
    assert.equal(createHeap({ memory: source, release }).source, source);
  }
});

interface Answer {
  released: boolean;
  address: number;
}

function inWorker(handle: HeapHandle, from: number, bytes: number): Promise<Answer> {
  const url = new URL("./worker.js", import.meta.url);
  const worker = new Worker(url, { workerData: { handle, from, bytes } });
  return new Promise((resolve, reject) => {
    worker.once("message", resolve).once("error", reject);
  });
}

for (const backend of ["wasm", "js"] as BackEnd[]) {
  test(`${backend}: a heap in a Worker releases if the heap that it joined does`, {
    skip,
  }, async () => {
    const heap = anyHeap({ backend, shared: true, maximum: 64 * MIB, release: withOsPages });
    const ptr = heap.memalign(MIB, 16 * MIB);
    heap.u8.fill(1, ptr, ptr + 16 * MIB);
    assert.equal(heap.source.pages?.resident?.(ptr, 16 * MIB), 16 * MIB);
    const { released, address } = await inWorker(heap.handle(), ptr + MIB, 8 * MIB);
    assert.equal(released, true);
    assert.equal(address, os.addressOf(heap.buffer), "the base is the same in all threads");
    assert.deepEqual([heap.u8[ptr + MIB - 1], heap.u8[ptr + MIB]], [1, 0]);
    const left = heap.source.pages?.resident?.(ptr, 16 * MIB) as number;
    assert.ok(left <= 8 * MIB + 2 * os.pageBytes, `${left} bytes are left`);
    const plain = anyHeap({ backend, shared: true, maximum: 64 * MIB });
    assert.equal((await inWorker(plain.handle(), MIB, MIB)).released, false);
  });
}
