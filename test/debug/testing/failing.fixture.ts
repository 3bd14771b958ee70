/** Tests that fail on purpose, for the reporters. Not run by itself. */
import { test } from "node:test";
import { expectNoLeaks } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { currentRegion, expectNoLeaks as regionExpectNoLeaks } from "#src/layers/index.js";

test("forgets a block", () => expectNoLeaks(createHeap(), (heap) => void heap.malloc(100)));

test("frees twice and writes too far", () =>
  expectNoLeaks(createHeap(), (heap) => {
    const ptr = heap.malloc(8);
    heap.u8[ptr + 8] = 1;
    heap.free(ptr);
    heap.free(ptr);
  }));

test("leaves a block of a region", () =>
  regionExpectNoLeaks(() => void currentRegion().malloc(33)));

test("fails for another reason", () => {
  throw new Error("not memory");
});

test("passes", () => {});
