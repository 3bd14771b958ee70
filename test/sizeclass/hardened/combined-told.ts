/** What tests of the hardened malloc look at: texts of errors, and what hooks are told. */
import assert from "node:assert/strict";
import { wasmMemory } from "#src/memory/index.js";
import { HardenedError, type HardenedOptions, hardenedMalloc } from "#src/sizeclass/index.js";

/** The error that a call throws: its text without the address. */
export function textOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof HardenedError, `${error}`);
    return error.message.replace(/ address 0x[0-9a-f]+/, "");
  }
  return assert.fail("nothing was thrown");
}

/** A hardened malloc, and what its hooks were told last. */
export function hooked(options: HardenedOptions = {}) {
  const told: string[] = [];
  const heap = hardenedMalloc({
    ...options,
    onAllocate: (ptr, size) => told.push(`+${ptr}:${size}`),
    onDeallocate: (ptr) => told.push(`-${ptr}`),
  });
  return { heap, abi: heap.abi, since: () => told.splice(0).join(" ") };
}

/** Both back ends, and addresses that are negative in wasm. */
export const backends: HardenedOptions[] = [
  {},
  { backend: "js" },
  { memory: wasmMemory({ offset: 2 ** 31 + 65536 }) },
];
