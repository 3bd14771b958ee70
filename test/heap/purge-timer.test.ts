/** purgeEvery: a clock for heaps that rest. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap, type Heap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { createSharedHeap } from "#src/heap/shared.js";
import { simulatedMemory } from "#src/memory/index.js";
import { child, collect } from "../support/os.js";

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function purged(heap: Heap): Promise<boolean> {
  for (let i = 0; i < 500 && heap.stats().purges === 0; i++) await wait(2);
  return heap.stats().purges > 0;
}

test("purgeEvery gives free memory back without a call", async () => {
  const heap = createHeap({ backend: javascript, memory: simulatedMemory() });
  heap.free(heap.malloc(10 * 2 ** 20));
  assert.equal(heap.stats().purges, 0);
  heap.purgeEvery(1);
  assert.equal(await purged(heap), true);
  heap.destroy();
});

test("purgeEvery(0) ends it, and so does the end of the heap", async () => {
  const heap = createHeap({ backend: javascript, memory: simulatedMemory() });
  heap.purgeEvery(1);
  heap.purgeEvery(0);
  heap.free(heap.malloc(10 * 2 ** 20));
  await wait(60);
  assert.equal(heap.stats().purges, 0);
  heap.purgeEvery(1);
  heap.destroy();
  await wait(10); // a tick would throw
  assert.throws(() => heap.purgeEvery(1), { code: "ERR_HEAP_DESTROYED" });
  const shared = createSharedHeap();
  shared.purgeEvery(1);
  shared.detach();
  await wait(10);
});

test("the timer keeps neither the process nor the heap", async () => {
  const { status, stdout } = child(
    `import { createHeap } from "terrane"; const heap = createHeap(); heap.purgeEvery(10);
     heap.malloc(10); console.log("end");`,
  );
  assert.deepEqual([status, stdout], [0, "end\n"]);
  const held = (() => {
    const heap = createHeap();
    heap.purgeEvery(1);
    return new WeakRef(heap);
  })();
  await wait(10);
  await collect();
  assert.equal(held.deref(), undefined);
});

test("purgeEvery refuses what is not a number of milliseconds", () => {
  const heap = createHeap();
  assert.throws(() => heap.purgeEvery("1" as never), {
    name: "TypeError",
    message: "milliseconds must be a number",
  });
  for (const wrong of [-1, Number.NaN, 2 ** 31]) {
    assert.throws(() => heap.purgeEvery(wrong), {
      name: "RangeError",
      message: `milliseconds must be from 0 to 2147483647, not ${wrong}`,
    });
  }
});
