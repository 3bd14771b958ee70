/** One thread's part of a size-class heap that threads share. */

import { threadRefuse } from "../../common/errors.ts";
import type { BackEnd } from "../../heap/calls/contract.ts";
import type { MemorySource } from "../../memory/index.ts";
import type { Geometry } from "../core/contract.ts";
import type { AllocatorParts } from "./allocator.ts";
import { SizeClassHeap } from "./linear.ts";

/**
 * What another thread needs for attachSizeClassHeap. Send it by postMessage or as workerData; its
 * fields are the allocator's own.
 */
export interface SizeClassHandle {
  /** Which build serves the memory. */
  readonly backend: BackEnd;
  /** Where everything is in the memory. */
  readonly geometry: Geometry;
  /** The shared memory, unless it is a buffer. */
  readonly memory?: WebAssembly.Memory;
  /** The shared buffer, where there is no WebAssembly.Memory. */
  readonly buffer?: SharedArrayBuffer;
  /** Bytes that the memory does not grow beyond. */
  readonly maximum?: number | undefined;
  /** Whether threads that attach release pages, where they can. */
  readonly release: boolean;
  /** The thread that it is for; 0 = any number of threads. */
  readonly threadId: number;
}

interface SharedParts extends AllocatorParts {
  readonly source: MemorySource;
  readonly backend: BackEnd;
  readonly threadId: number;
  readonly maximum: number | undefined;
}

/** A Worker of Node, or what has its event "exit". */
export interface EndingWorker {
  /** Calls `listener` when the Worker has ended. */
  once(event: "exit", listener: () => void): unknown;
}

/**
 * One thread's part of a size-class heap: a cache of its own, over regions that all threads share.
 * Any thread frees any block.
 *
 * Classes have locks, which name the thread that holds them. A thread that does not get one within
 * 50 ms continues without it: malloc takes a larger class, free puts its chunks on a list for the
 * next thread that holds the lock. So a thread that dies blocks no other for ever; `recover` frees
 * what it held.
 *
 * @example
 * const heap = createSizeClassHeap({ shared: true });
 * const mine = attachSizeClassHeap(heap.handle()); // in a Worker
 * heap.free(mine.malloc(100));
 * mine.detach();
 */
export class SharedSizeClassHeap extends SizeClassHeap {
  /** A number that no other thread of this memory has or will have; from 1 on. */
  readonly threadId: number;
  readonly #parts: SharedParts;
  #attached = true;

  /** Use createSizeClassHeap or attachSizeClassHeap. */
  constructor(parts: SharedParts) {
    super(parts);
    this.#parts = parts;
    this.threadId = parts.threadId;
  }

  /** A handle for attachSizeClassHeap, for any number of threads. */
  handle(): SizeClassHandle {
    return this.#handle(0);
  }

  #handle(threadId: number): SizeClassHandle {
    const { source, backend, geometry, maximum } = this.#parts;
    const { memory, buffer } = source;
    const bytes = memory ? { memory } : { buffer: buffer as SharedArrayBuffer };
    const release = source.pages !== undefined;
    return { backend, geometry, maximum, release, threadId, ...bytes };
  }

  /**
   * Starts a Worker of Node with a handle for it alone, and recovers what it leaves behind when it
   * ends in any way, as long as this thread is attached. `start` gets the handle and returns the
   * Worker, which startWorker returns.
   *
   * @example
   * heap.startWorker((handle) => new Worker(url, { workerData: handle }));
   */
  startWorker<W extends EndingWorker>(start: (handle: SizeClassHandle) => W): W {
    const threadId = this.core.threadIdDraw() >>> 0;
    const worker = start(this.#handle(threadId));
    worker.once("exit", () => this.#attached && this.recover(threadId));
    return worker;
  }

  /**
   * Returns the cache of this thread to the regions and frees its thread slot. Later calls throw.
   *
   * @throws SizeClassError ERR_DOUBLE_FREE when a release finds that a chunk was freed twice; the
   * thread is detached all the same.
   */
  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    try {
      this.core.slotFree(this.threadId);
    } finally {
      super.destroy();
    }
  }

  /** The same as detach: the memory and all blocks stay. */
  override destroy(): void {
    this.detach();
  }

  /**
   * Frees what a thread held that has ended without detach: its locks, the chunks in its cache, its
   * thread slot. Chunks that it had taken and recorded nowhere are lost, a batch at most. Returns
   * false if no such thread is attached, or another thread recovers it.
   *
   * @throws TypeError or RangeError unless threadId is a whole number from 1 to 2^30 - 1.
   */
  recover(threadId: number): boolean {
    if (!Number.isInteger(threadId) || threadId < 1 || threadId > 0x3fffffff)
      threadRefuse(threadId);
    if (threadId === this.threadId) return false;
    return Boolean(this.core.threadRecover(threadId));
  }
}
