/** Which errors are accesses to a guard. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { heapDamaged } from "#src/common/errors.js";
import { trapOf } from "#src/debug/guarded/traps.js";

test("a trap is found behind the heap's error, which takes it for damage", () => {
  const trap = new WebAssembly.RuntimeError("memory access out of bounds");
  assert.equal(trapOf(trap), trap);
  assert.equal(trapOf(heapDamaged(0, trap)), trap);
  const others = [heapDamaged(8), heapDamaged(0, new Error("other")), new Error("other"), null, 5];
  for (const other of [...others, new WebAssembly.RuntimeError("unreachable")]) {
    assert.equal(trapOf(other), undefined);
  }
});
