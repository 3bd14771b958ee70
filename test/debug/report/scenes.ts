/** Every mistake, made on purpose, with the text that must be reported. */
import assert from "node:assert/strict";
import { hex } from "#src/common/errors.js";
import { type DebugAllocator, type DebugOptions, debug, type Report } from "#src/debug/index.js";
import type { Backing } from "./backings.js";
import { pointerScenes } from "./pointer-scenes.js";
import {
  allocate,
  allocateAligned,
  allocateView,
  collect,
  end,
  free,
  livePtrs,
  lookForLeaks,
  make,
  reported,
  resize,
  type Scene,
  theBlock,
} from "./scene-calls.js";
import { writeScenes } from "./write-scenes.js";

let thread = 1;

export const scenes: Scene[] = [
  ...pointerScenes,
  ...writeScenes,
  {
    name: "a leak, on demand",
    detector: "leak",
    play(heap, size) {
      const ptr = allocate(heap, size);
      assert.equal(lookForLeaks(heap), 1);
      free(heap, ptr);
      const title = `1 block of ${size} bytes (${hex(ptr)}) allocated`;
      return [reported(`leak: 1 block of ${size} bytes never freed`, [[title, "allocate"]])];
    },
  },
  {
    name: "leaks from two places, at destroy",
    ends: true,
    detector: "leak",
    play(heap, size) {
      const first = allocateAligned(heap, size);
      const [a, b, c, d, e] = Array.from({ length: 5 }, () => allocate(heap, size));
      assert.equal(end(heap), "leak");
      const named = [a, b, c, d].map((ptr) => hex(ptr as number)).join(", ");
      assert.ok(e);
      return [
        reported(`leak: 6 blocks of ${6 * size} bytes never freed`, [
          [`5 blocks of ${5 * size} bytes (${named}, …) allocated`, "allocate"],
          [`1 block of ${size} bytes (${hex(first)}) allocated`, "allocateAligned"],
        ]),
      ];
    },
  },
  {
    name: "use by another thread",
    detector: "wrongThread",
    options: { threadId: () => thread },
    play(heap, size) {
      const ptr = allocate(heap, size);
      thread = 7;
      assert.equal(allocate(heap, size), 0);
      free(heap, ptr);
      thread = 1;
      free(heap, ptr);
      return [
        reported("malloc by thread 7 of an allocator of thread 1", [
          ["created", "make"],
          ["last used by thread 1", "allocate"],
          ["malloc", "allocate"],
        ]),
        reported("free by thread 7 of an allocator of thread 1", [
          ["created", "make"],
          ["last used by thread 1", "allocate"],
          ["free", "free"],
        ]),
      ];
    },
  },
  {
    name: "more than the memory limit",
    detector: "memoryLimit",
    options: { enableMemoryLimit: true, requestedMemoryLimit: 7000 },
    play(heap, size) {
      const ptr = allocate(heap, size);
      assert.equal(allocate(heap, 7001 - size), 0);
      assert.equal(resize(heap, ptr, 7001), 0);
      free(heap, ptr);
      const limit = `over the limit of 7000 bytes, ${size} in use`;
      return [
        reported(`request of ${7001 - size} bytes ${limit}`, [["requested", "allocate"]]),
        reported(`request of 7001 bytes ${limit}`, [["requested", "resize"]]),
      ];
    },
  },
  {
    name: "a view that is collected before its block is freed",
    detector: "forgottenHandle",
    async play(heap, size) {
      const before = new Set<number>();
      heap.visitBlocks((ptr) => void before.add(ptr));
      allocateView(heap, size);
      const [ptr] = [...livePtrs(heap)].filter((each) => !before.has(each)) as [number];
      await collect();
      free(heap, ptr);
      const what = `${theBlock(size, ptr)} is still allocated, but its handle was collected`;
      return [reported(`forgotten handle: ${what}`, [["allocated", "allocateView"]])];
    },
  },
];

/** Plays a scene and compares the texts of all reports. */
export async function playScene(
  scene: Scene,
  backing: Backing,
  size: number,
  debugOf = debug,
): Promise<DebugAllocator> {
  const reports: Report[] = [];
  thread = 1;
  const options: DebugOptions = {
    ...scene.options,
    onReport: (report) => reports.push(report),
  };
  const heap = make(backing, options, debugOf);
  const expected = await scene.play(heap, size);
  assert.deepEqual(reports.map(String), expected);
  return heap;
}
