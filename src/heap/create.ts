/** How heaps come into being: the one that makes a memory's state, and those that join it. */

import { handleRefuse } from "../common/errors.ts";
import { options as processOptions } from "../common/log.ts";
import { optionsCheck } from "../common/option-table.ts";
import { type MemorySource, sharedArrayBuffer, wasmMemory, withRelease } from "../memory/index.ts";
import { coreStart, sharedStart } from "./backend.ts";
import type { BackEnd } from "./calls/contract.ts";
import { startJoining, startOf } from "./hardening-features.ts";
import { Heap } from "./heap.ts";
import { sourceDefault } from "./new-memory.ts";
import { type AttachOptions, attachOptions, type HeapOptions, heapOptions } from "./options.ts";
import { type PurgeSettings, purgeDefaults, purgeLimits, purgeMerge } from "./purge-settings.ts";
import { HANDLE_VERSION, type HeapHandle, SharedHeap } from "./shared-heap.ts";

/**
 * A heap over a new memory, or over the one in the options. With `shared: true` other threads can
 * attach to it: see SharedHeap.
 *
 * @throws TypeError or RangeError for unknown options and values out of range.
 * @example
 * const heap = createHeap({ backend: "js", maximum: 2 ** 26 });
 */
export function createHeap(options: HeapOptions & { readonly shared: true }): SharedHeap;
export function createHeap(options?: HeapOptions): Heap;
export function createHeap(options: HeapOptions = {}): Heap {
  optionsCheck(heapOptions, options);
  const heap = heapMake(options);
  if (options.statsLevel) heap.statsLevel = options.statsLevel;
  return heap;
}

function heapMake(options: HeapOptions): Heap {
  const { backend = "wasm", onError, maximum } = options;
  const hardening = startOf(options.hardening);
  const source = withRelease(sourceOf(backend, options), options.release);
  const purge = purgeMerge(purgeOfProcess(), options);
  if (!options.shared) {
    const foreign = options.memory !== undefined;
    return new Heap({
      backend,
      source,
      onError,
      purge,
      hardening,
      start: (hooks) => coreStart(backend, { source, foreign, hardening, ...hooks }),
    });
  }
  return new SharedHeap({
    backend,
    source,
    onError,
    purge,
    maximum,
    hardening,
    start: (hooks) => sharedStart(backend, { source, foreign: true, hardening, ...hooks }),
  });
}

/**
 * This thread's heap over the memory of another thread's: `handle` is what its `handle()` answered,
 * as it arrived in a Worker. Ends with `detach()`, which a Worker of Node also does when it ends by
 * itself.
 *
 * `options.memory` is a source over the handle's memory, for one whose pages can be given back;
 * `options.hardening` the builds for a heap of the js back end, if it is hardened.
 *
 * @throws TypeError for what is no handle, RangeError for one of another version of terrane.
 * @throws HeapError ERR_NO_THREAD when 124 threads and heaps are attached, or the handle was made
 * for one thread that has attached already.
 * @example
 * const heap = createHeap({ shared: true });
 * const mine = attachHeap(heap.handle()); // mostly in a Worker, with the handle that it was sent
 * heap.free(mine.malloc(100));
 * mine.detach();
 */
export function attachHeap(handle: HeapHandle, options: AttachOptions = {}): SharedHeap {
  optionsCheck(attachOptions, options);
  if (handle?.terrane !== HANDLE_VERSION) throw handleRefuse(handle, HANDLE_VERSION);
  const { backend, maximum } = handle;
  const hardening = startJoining(handle.hardening, options.hardening);
  const source = options.memory ?? sourceOfHandle(handle);
  const { memory, buffer } = handle;
  if (memory ? source.memory !== memory : source.buffer !== buffer) {
    throw new TypeError("memory must be a source over the handle's memory");
  }
  return new SharedHeap({
    backend,
    source,
    onError: options.onError,
    maximum,
    hardening,
    handle,
    start: (hooks) => sharedStart(backend, { source, foreign: true, hardening, ...hooks }, handle),
  }).detachAtExit();
}

/** What releases in one thread does so in all, if koffi loads there. */
function sourceOfHandle(handle: HeapHandle): MemorySource {
  const { memory, buffer, start: offset, maximum, release } = handle;
  const source = memory
    ? wasmMemory({ memory, offset, maximum })
    : sharedArrayBuffer({ buffer, offset });
  return withRelease(source, release ? "auto" : false);
}

/** What the options of the process say; a heap's own say it last. */
function purgeOfProcess(): PurgeSettings {
  const most = purgeLimits;
  return {
    ...purgeDefaults,
    purgeDelay: processOptions.getClamp("purgeDelay", -1, most.purgeDelay),
    purgeExtendDelay: processOptions.getClamp("purgeExtendDelay", 0, most.purgeExtendDelay),
    arenaPurgeMult: processOptions.getClamp("arenaPurgeMult", 0, most.arenaPurgeMult),
    purgeDecommits: processOptions.isEnabled("purgeDecommits"),
  };
}

/** Options that a memory which is there already has settled are refused, not dropped. */
function sourceOf(backEnd: BackEnd, options: HeapOptions): MemorySource {
  const { memory, offset, initial, maximum, shared } = options;
  if (memory === undefined) return sourceDefault(backEnd, { offset, initial, maximum, shared });
  if (initial !== undefined) throw new TypeError("initial is for a new memory");
  if (memory instanceof WebAssembly.Memory) return wasmMemory({ memory, offset, maximum });
  if (offset !== undefined || maximum !== undefined) {
    throw new TypeError("offset and maximum belong to the source that is given as memory");
  }
  return memory;
}
