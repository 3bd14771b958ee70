/** Calls with wrong pointers, sizes and alignments. */
import assert from "node:assert/strict";
import { hex } from "#src/common/errors.js";
import {
  allocate,
  allocateAligned,
  free,
  freeAgain,
  freeSized,
  measure,
  reported,
  resize,
  resizeSized,
  type Scene,
  theBlock,
} from "./scene-calls.js";

export const pointerScenes: Scene[] = [
  {
    name: "a double free",
    detector: "doubleFree",
    play(heap, size) {
      const ptr = allocate(heap, size);
      free(heap, ptr);
      freeAgain(heap, ptr);
      return [
        reported(`double free of ${theBlock(size, ptr)}`, [
          ["allocated", "allocate"],
          ["freed first", "free"],
          ["freed again", "freeAgain"],
        ]),
      ];
    },
  },
  {
    name: "a realloc after free",
    detector: "useAfterFree",
    play(heap, size) {
      const ptr = allocate(heap, size);
      free(heap, ptr);
      assert.equal(resize(heap, ptr, 2 * size), 0);
      return [
        reported(`realloc of ${theBlock(size, ptr)} after it was freed`, [
          ["allocated", "allocate"],
          ["freed", "free"],
          ["used", "resize"],
        ]),
      ];
    },
  },
  {
    name: "the size of a block that is free",
    detector: "useAfterFree",
    play(heap, size) {
      const ptr = allocate(heap, size);
      free(heap, ptr);
      assert.equal(measure(heap, ptr), 0);
      return [
        reported(`usableSize of ${theBlock(size, ptr)} after it was freed`, [
          ["allocated", "allocate"],
          ["freed", "free"],
          ["used", "measure"],
        ]),
      ];
    },
  },
  {
    name: "a free of an address behind a block",
    detector: "notABlock",
    play(heap, size) {
      const ptr = allocate(heap, size);
      free(heap, ptr + size + 4);
      free(heap, ptr);
      return [
        reported(
          `free of ${hex(ptr + size + 4)}, which is not a block; ` +
            `4 bytes past the end of ${theBlock(size, ptr)}`,
          [
            ["nearest allocated", "allocate"],
            ["free", "free"],
          ],
        ),
      ];
    },
  },
  {
    name: "a free of an address before a block that is free",
    detector: "notABlock",
    play(heap, size) {
      const ptr = allocate(heap, size);
      free(heap, ptr);
      freeAgain(heap, ptr - 1);
      return [
        reported(
          `free of ${hex(ptr - 1)}, which is not a block; 1 byte before ${theBlock(size, ptr)}`,
          [
            ["nearest allocated", "allocate"],
            ["nearest freed", "free"],
            ["free", "freeAgain"],
          ],
        ),
      ];
    },
  },
  {
    name: "a free where nothing was allocated",
    detector: "notABlock",
    play(heap) {
      free(heap, 24);
      return [reported("free of 0x18, which is not a block", [["free", "free"]])];
    },
  },
  {
    name: "a free of an address inside a block",
    detector: "interiorPointer",
    play(heap, size) {
      const ptr = allocate(heap, size);
      free(heap, ptr + 1);
      free(heap, ptr);
      return [
        reported(`free of ${hex(ptr + 1)}, 1 byte into ${theBlock(size, ptr)}`, [
          ["allocated", "allocate"],
          ["free", "free"],
        ]),
      ];
    },
  },
  {
    name: "a realloc of an address inside a block that is free",
    detector: "interiorPointer",
    play(heap, size) {
      const ptr = allocate(heap, size);
      free(heap, ptr);
      resize(heap, ptr + 16, 5);
      return [
        reported(
          `realloc of ${hex(ptr + 16)}, 16 bytes into ${theBlock(size, ptr)}, which is free`,
          [
            ["allocated", "allocate"],
            ["freed", "free"],
            ["realloc", "resize"],
          ],
        ),
      ];
    },
  },
  {
    name: "a free with another size",
    detector: "sizeMismatch",
    play(heap, size) {
      const ptr = allocate(heap, size);
      freeSized(heap, ptr, size - 1);
      return [
        reported(`freeSized of ${theBlock(size, ptr)} with a size of ${size - 1}`, [
          ["allocated", "allocate"],
          ["freeSized", "freeSized"],
        ]),
      ];
    },
  },
  {
    name: "a resize with another size",
    detector: "sizeMismatch",
    play(heap, size) {
      const ptr = allocate(heap, size);
      free(heap, resizeSized(heap, ptr, size + 1));
      return [
        reported(`reallocSized of ${theBlock(size, ptr)} with a size of ${size + 1}`, [
          ["allocated", "allocate"],
          ["reallocSized", "resizeSized"],
        ]),
      ];
    },
  },
  {
    name: "a free with another alignment",
    detector: "alignmentMismatch",
    play(heap, size) {
      const ptr = allocateAligned(heap, size);
      freeSized(heap, ptr, size, 32);
      return [
        reported(`freeSized of ${theBlock(size, ptr)}, aligned to 64, with an alignment of 32`, [
          ["allocated", "allocateAligned"],
          ["freeSized", "freeSized"],
        ]),
      ];
    },
  },
  {
    name: "a resize with another alignment",
    detector: "alignmentMismatch",
    play(heap, size) {
      const ptr = allocateAligned(heap, size);
      free(heap, resizeSized(heap, ptr, size, 16));
      return [
        reported(`reallocSized of ${theBlock(size, ptr)}, aligned to 64, with an alignment of 16`, [
          ["allocated", "allocateAligned"],
          ["reallocSized", "resizeSized"],
        ]),
      ];
    },
  },
];
