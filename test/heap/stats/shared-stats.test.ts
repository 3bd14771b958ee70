/** Statistics of a shared heap while another thread is in the middle of a change. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { D_BOUNDS_HIGH, D_BOUNDS_LOW } from "#src/core/layout/layout.js";
import { sharedJavascript } from "#src/heap/javascript.js";
import { createSharedHeap } from "#src/heap/shared.js";
import { pages } from "#src/heap/stats/walk.js";

test("stats count a medium page whose bounds and free units do not fit together", () => {
  const heap = createSharedHeap({ backend: sharedJavascript });
  const block = heap.malloc(100_000);
  const before = heap.stats();
  assert.equal(before.blockBytes, heap.usableSize(block));
  const [page = 0] = pages(heap.u32, heap.source.start);
  for (const field of [D_BOUNDS_LOW, D_BOUNDS_HIGH]) heap.u32[(page + field) >>> 2] = 0;
  assert.deepEqual(heap.stats(), before);
});
