/** The options of guarded, and the memories that cannot be guarded. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { guarded } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { createAllocator, pipe, segregated, std } from "#src/layers/index.js";
import { arrayBuffer, sharedArrayBuffer, withOsPages } from "#src/memory/index.js";
import { anyHeap } from "../../support/any-heap.js";
import { os, skip } from "../../support/os.js";

test("wrong options and allocators are refused", () => {
  const refused = (options: object, name: string, message: string) =>
    assert.throws(() => guarded(createHeap(), options), { name, message });
  refused({ every: 0 }, "RangeError", "every must be a whole number from 1 to 1073741824, not 0");
  refused({ slots: "9" }, "TypeError", "slots must be a number, not string");
  refused({ place: "top" }, "RangeError", 'place must be "end", "start" or "both", not "top"');
  refused({ place: 1 }, "TypeError", 'place must be "end", "start" or "both", not number');
  refused({ faults: 1 }, "TypeError", "faults must be true or false, not number");
  refused({ source: {} }, "TypeError", "source must be a memory source, not object");
  assert.throws(() => guarded(createHeap(), { guard: 1 } as never), /unknown option guard; known/);
  const pool = createAllocator(pipe(std(createHeap()), segregated()));
  assert.throws(() => guarded(pool), {
    name: "TypeError",
    message: "guarded needs a heap, or the option source for its memory",
  });
});

test("where growth undoes guards, the heap must restore them", { skip }, (t) => {
  if (os.guardKind !== "mprotect") return t.skip("guards of this kernel stay");
  assert.throws(() => guarded(createHeap()), {
    name: "RangeError",
    message: "guarded: this kernel needs a heap made with release: withOsPages",
  });
});

test("memories whose pages stay accessible are refused", { skip }, () => {
  for (const memory of [arrayBuffer(), sharedArrayBuffer()]) {
    const shared = memory.capabilities.shared as true;
    const heap = anyHeap({ backend: "js", memory, shared, release: withOsPages });
    assert.throws(() => guarded(heap), {
      name: "RangeError",
      message: `guarded: pages of this ${memory.kind} cannot be made inaccessible; use wasmMemory or osMemory`,
    });
  }
  assert.throws(() => guarded(createHeap({ maximum: 2 ** 18, release: withOsPages })), {
    name: "RangeError",
    message: /^guarded: no memory for \d+ bytes of slots; lower slots or slotBytes$/,
  });
});
