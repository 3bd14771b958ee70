/** Writes around blocks and to freed ones. */
import assert from "node:assert/strict";
import type { DebugAllocator } from "#src/debug/index.js";
import {
  allocate,
  allocateAligned,
  free,
  freeAgain,
  look,
  reported,
  resize,
  type Scene,
  theBlock,
} from "./scene-calls.js";

export const writeScenes: Scene[] = [
  {
    name: "a write past the end, found by free",
    detector: "heapOverflow",
    play(heap, size) {
      const ptr = allocate(heap, size);
      heap.u8[ptr + size] = 0;
      free(heap, ptr);
      return [
        reported(
          `write past the end of ${theBlock(size, ptr)}: 1 byte changed, ` +
            `the first at offset ${size}`,
          [
            ["allocated", "allocate"],
            ["found", "free"],
          ],
        ),
      ];
    },
  },
  {
    name: "writes past the end, found by realloc and by check, once each",
    detector: "heapOverflow",
    play(heap, size) {
      const ptr = allocate(heap, size);
      heap.u8.fill(7, ptr + size + 1, ptr + size + 4);
      const moved = resize(heap, ptr, size + 1);
      heap.u8[moved + size + 8] = 1;
      look(heap);
      look(heap);
      free(heap, moved);
      const stacks: [string, string][] = [["allocated", moved === ptr ? "allocate" : "resize"]];
      return [
        reported(
          `write past the end of ${theBlock(size, ptr)}: 3 bytes changed, ` +
            `the first at offset ${size + 1}`,
          [
            ["allocated", "allocate"],
            ["found", "resize"],
          ],
        ),
        reported(
          `write past the end of ${theBlock(size + 1, moved)}: 1 byte changed, ` +
            `the first at offset ${size + 8}`,
          [...stacks, ["found", "look"]],
        ),
      ];
    },
  },
  {
    name: "a write before the start",
    detector: "heapUnderflow",
    play(heap, size) {
      const ptr = allocate(heap, size);
      heap.u32[(ptr - 8) / 4] = 0;
      free(heap, ptr);
      return [
        reported(
          `write before the start of ${theBlock(size, ptr)}: 4 bytes changed, ` +
            "the first at offset -8",
          [
            ["allocated", "allocate"],
            ["found", "free"],
          ],
        ),
      ];
    },
  },
  {
    name: "a write before the start of an aligned block, found by check",
    detector: "heapUnderflow",
    play(heap, size) {
      const ptr = allocateAligned(heap, size);
      heap.u8[ptr - 64] = 0;
      look(heap);
      free(heap, ptr);
      return [
        reported(
          `write before the start of ${theBlock(size, ptr)}: 1 byte changed, ` +
            "the first at offset -64",
          [
            ["allocated", "allocateAligned"],
            ["found", "look"],
          ],
        ),
      ];
    },
  },
  {
    name: "a write after free, found by check, once",
    detector: "writeAfterFree",
    play(heap, size) {
      const ptr = allocate(heap, size);
      free(heap, ptr);
      heap.u8.fill(1, ptr + 2, ptr + 4);
      look(heap);
      look(heap);
      return [
        reported(
          `write to ${theBlock(size, ptr)} after it was freed: 2 bytes changed, ` +
            "the first at offset 2",
          [
            ["allocated", "allocate"],
            ["freed", "free"],
            ["found", "look"],
          ],
        ),
      ];
    },
  },
  {
    name: "a write after free, found when the memory goes back",
    detector: "writeAfterFree",
    options: { quarantine: 0, pageSize: 16384 },
    play(heap, size) {
      // As many blocks as fill a page. A large block has no page.
      const count = size > 1024 ? 0 : Math.floor(16384 / 128) - 1;
      const fillers = Array.from({ length: Math.max(count, 0) }, () => heap.malloc(size));
      if (count === 0) return skipLarge(heap, size);
      const ptr = allocate(heap, size);
      free(heap, ptr);
      heap.u8[ptr] = 1;
      for (const filler of fillers) freeAgain(heap, filler);
      return [
        reported(
          `write to ${theBlock(size, ptr)} after it was freed: 1 byte changed, ` +
            "the first at offset 0",
          [
            ["allocated", "allocate"],
            ["freed", "free"],
            ["found", "freeAgain"],
          ],
        ),
      ];
    },
  },
];

/** Without quarantine a large block is given back at once, so no write after that is found. */
function skipLarge(heap: DebugAllocator, size: number): string[] {
  free(heap, allocate(heap, size));
  assert.equal(heap.stats().residentBytes, 0);
  return [];
}
