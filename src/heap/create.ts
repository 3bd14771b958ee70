/** How a heap of one thread is made. */

import { optionsCheck } from "../common/option-table.ts";
import { coreWasm } from "../core/embed/core-wasm.js";
import { type CoreBuild, startCore } from "./backend.ts";
import { Heap } from "./heap.ts";
import { type HeapOptions, heapChecks } from "./options.ts";
import { buildOf, purgeOf, sourceOf } from "./setup.ts";
import { wasmBuild } from "./wasm-builds.ts";

/**
 * A heap of one thread over a new memory, or over the one in the options. It runs on WebAssembly,
 * unless `backend` is `javascript` of terrane/javascript. createSharedHeap of terrane/shared makes
 * heaps that threads share.
 *
 * @throws TypeError or RangeError for unknown options and values out of range.
 * @example
 * const heap = createHeap({ maximum: 2 ** 26 });
 * const ptr = heap.malloc(100);
 * heap.free(ptr);
 */
export function createHeap(options: HeapOptions = {}): Heap {
  checkOptions(options);
  const build = buildOf(options, wasmBuild(coreWasm));
  const source = sourceOf(build, options);
  checkMemory(build, source.capabilities.shared);
  const { hardening } = build;
  const foreign = options.memory !== undefined;
  return new Heap({
    backend: build.kind,
    source,
    onError: options.onError,
    purge: purgeOf(options),
    hardening,
    start: (hooks) => startCore(build, { source, foreign, hardening, ...hooks }, 1),
  });
}

function checkOptions(options: HeapOptions): void {
  if ((options as { shared?: unknown } | null)?.shared !== undefined) {
    throw new TypeError(
      "createHeap makes heaps for one thread, without the option shared: " +
        'import { createSharedHeap } from "terrane/shared"',
    );
  }
  optionsCheck(heapChecks(false), options);
}

/** The JavaScript core takes a shared memory for one thread; the WebAssembly core cannot. */
function checkMemory({ kind }: CoreBuild, shared: boolean): void {
  if (!shared || kind === "js") return;
  throw new RangeError(
    'a shared memory needs a heap for threads: import { createSharedHeap } from "terrane/shared"',
  );
}
