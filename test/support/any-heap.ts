/** A heap of any build of the core, for tests that run over several of them. */
import {
  type HardeningOptions,
  hardenedJavascript,
  hardening,
  sharedHardenedJavascript,
  sharedHardening,
} from "#src/heap/hardening.js";
import {
  createHeap,
  type Heap,
  type MemoryOptions,
  type StatsLevel,
  setStatsLevel,
} from "#src/heap/index.js";
import { javascript, sharedJavascript } from "#src/heap/javascript.js";
import {
  type AttachOptions,
  attachHeap,
  createSharedHeap,
  type HeapHandle,
  type SharedHeap,
} from "#src/heap/shared.js";

export interface AnyHeapOptions extends MemoryOptions {
  backend?: "wasm" | "js" | undefined;
  shared?: boolean | undefined;
  /** For setStatsLevel. */
  statsLevel?: StatsLevel | undefined;
  /** Undefined: an unhardened build. */
  hardened?: HardeningOptions | undefined;
}

export function anyHeap(options: AnyHeapOptions & { shared: true }): SharedHeap;
export function anyHeap(options?: AnyHeapOptions): Heap;
export function anyHeap({ shared, statsLevel, ...options }: AnyHeapOptions = {}): Heap {
  const heap = shared ? sharedHeap(options) : singleHeap(options);
  if (statsLevel !== undefined) setStatsLevel(heap, statsLevel);
  return heap;
}

function singleHeap({ backend, hardened, ...options }: AnyHeapOptions): Heap {
  if (backend !== "js")
    return createHeap({ ...options, hardening: hardened && hardening(hardened) });
  return createHeap({ ...options, backend: hardened ? hardenedJavascript(hardened) : javascript });
}

function sharedHeap({ backend, hardened, ...options }: AnyHeapOptions): SharedHeap {
  if (backend !== "js") {
    return createSharedHeap({ ...options, hardening: hardened && sharedHardening(hardened) });
  }
  const build = hardened ? sharedHardenedJavascript(hardened) : sharedJavascript;
  return createSharedHeap({ ...options, backend: build });
}

/** attachHeap with the build that the handle needs. */
export function attachAny(handle: HeapHandle, options: AttachOptions = {}): SharedHeap {
  const backend = handle.hardening ? sharedHardenedJavascript() : sharedJavascript;
  return attachHeap(handle, { backend, ...options });
}
