/** What tests of the hardened malloc check: texts of errors, and calls of hooks. */
import assert from "node:assert/strict";
import { wasmMemory } from "#src/memory/index.js";
import { createHardenedMalloc, HardenedError, type HardenedOptions } from "#src/sizeclass/index.js";

/** The text, without the address, of the error that a call throws. */
export function textOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof HardenedError, `${error}`);
    return error.message.replace(/ address 0x[0-9a-f]+/, "");
  }
  return assert.fail("nothing was thrown");
}

/** A hardened malloc, and the last calls of its hooks. */
export function hooked(options: HardenedOptions = {}) {
  const calls: string[] = [];
  const heap = createHardenedMalloc({
    ...options,
    onAllocate: (ptr, size) => calls.push(`+${ptr}:${size}`),
    onDeallocate: (ptr) => calls.push(`-${ptr}`),
  });
  return { heap, abi: heap.abi, since: () => calls.splice(0).join(" ") };
}

/** Both back ends, and addresses that are negative in wasm. */
export const backends: HardenedOptions[] = [
  {},
  { backend: "js" },
  { memory: wasmMemory({ offset: 2 ** 31 + 65536 }) },
];
