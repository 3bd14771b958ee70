/** Handles, Workers and the end of threads that share a hardened malloc. */
import type { SizeClassHeap } from "../heap/linear.ts";
import { type EndingWorker, SharedSizeClassHeap, type SizeClassHandle } from "../heap/shared.ts";
import type { HardenedParts } from "./blocks.ts";
import type { HardenedFlags } from "./flags.ts";
import type { Quarantine } from "./quarantine.ts";

/**
 * What another thread needs for attachHardenedMalloc. Send it by postMessage or as workerData; its
 * fields are the allocator's own. Code that has it can forge headers.
 */
export interface HardenedHandle {
  /** The handle of the size classes. */
  readonly heap: SizeClassHandle;
  /** The flags, which are the same for all threads. */
  readonly flags: HardenedFlags;
  /** The secret in the checksums of headers. */
  readonly cookie: number;
  /** Address of the quarantine's list. */
  readonly list: number;
}

/** @throws TypeError unless threads may share the heap. */
export function requireShared(heap: SizeClassHeap): SharedSizeClassHeap {
  if (heap instanceof SharedSizeClassHeap) return heap;
  throw new TypeError("threads need the option shared: true");
}

export function handleOf(heap: SizeClassHandle, parts: HardenedParts): HardenedHandle {
  const { flags, cookie, list } = parts;
  return { heap, flags, cookie, list };
}

/** Starts a Worker with a handle, and recovers its quarantine and its heap when it ends. */
export function workerStart<W extends EndingWorker>(
  parts: HardenedParts,
  quarantine: Quarantine,
  start: (handle: HardenedHandle) => W,
): W {
  let threadId = 0;
  const worker = requireShared(parts.heap).startWorker((heap) => {
    threadId = heap.threadId;
    return start(handleOf(heap, parts));
  });
  worker.once("exit", () => quarantine.recover(threadId));
  return worker;
}

/** Detaches this thread, also if a block in quarantine is damaged. */
export function threadDetach(heap: SizeClassHeap, quarantine: Quarantine): void {
  const shared = requireShared(heap);
  try {
    quarantine.detach();
  } finally {
    shared.detach();
  }
}
