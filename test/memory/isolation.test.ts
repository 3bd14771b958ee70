/** Where threads cannot share memory: in a page that is not cross-origin isolated. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import { javascript, sharedJavascript } from "#src/heap/javascript.js";
import { createSharedHeap } from "#src/heap/shared.js";
import { sharedArrayBuffer, wasmMemory } from "#src/memory/index.js";

const message =
  "shared memory is off: a browser page must be cross-origin isolated (headers COOP and COEP)";

test("without SharedArrayBuffer every call for a shared heap throws what is missing", () => {
  // A browser makes such a memory nevertheless; its buffer has an unknown type.
  const memory = new WebAssembly.Memory({ initial: 8, maximum: 100, shared: true });
  Reflect.deleteProperty(globalThis, "SharedArrayBuffer");
  const refused: (() => unknown)[] = [
    () => createSharedHeap(),
    () => createSharedHeap({ backend: sharedJavascript }),
    () => createSharedHeap({ memory }),
    () => wasmMemory({ shared: true }),
    () => sharedArrayBuffer(),
  ];
  for (const attempt of refused) assert.throws(attempt, { name: "RangeError", message });
  assert.notEqual(createHeap().malloc(8), 0);
  assert.notEqual(createHeap({ backend: javascript }).malloc(8), 0);
});
