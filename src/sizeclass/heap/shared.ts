/** One thread's part of an allocator that threads share. */

import { threadRefuse } from "../../common/errors.ts";
import type { BackEnd } from "../../heap/calls/contract.ts";
import type { MemorySource } from "../../memory/index.ts";
import type { Geometry } from "../core/contract.ts";
import { type AllocatorParts, SizeClassHeap } from "./allocator.ts";

/** What another thread needs to attach: can be sent with postMessage or as workerData. */
export interface SizeClassHandle {
  readonly backend: BackEnd;
  readonly geometry: Geometry;
  readonly memory?: WebAssembly.Memory;
  readonly buffer?: SharedArrayBuffer;
  readonly maximum?: number | undefined;
  /** Whether pages go back to the system, if the thread can: koffi may not load there. */
  readonly release: "auto" | false;
  /** The number of the one thread that it is for, or 0. */
  readonly threadId: number;
}

interface SharedParts extends AllocatorParts {
  readonly source: MemorySource;
  readonly backend: BackEnd;
  readonly threadId: number;
  readonly maximum: number | undefined;
}

/** A Worker of Node. */
export interface EndingWorker {
  once(event: "exit", listener: () => void): unknown;
}

/**
 * A thread's part: its own cache, over regions that all threads share. Any thread frees any block.
 *
 * Regions have locks, which name their holder. A thread that cannot have one within 50 ms goes on
 * without it: malloc takes a larger class, free leaves its chunks on a list for the next holder. So
 * nobody waits for ever for a thread that has died; `recover` frees what it held.
 *
 * @example
 * const heap = sizeClass({ shared: true });
 * const mine = attachSizeClass(heap.handle()); // mostly in a Worker
 * heap.free(mine.malloc(100));
 * mine.detach();
 */
export class SharedSizeClassHeap extends SizeClassHeap {
  /** A number that no other thread of this memory has or will have. */
  readonly threadId: number;
  readonly #parts: SharedParts;
  #attached = true;

  /** Use sizeClass or attachSizeClass. */
  constructor(parts: SharedParts) {
    super(parts);
    this.#parts = parts;
    this.threadId = parts.threadId;
  }

  /** What another thread needs for attachSizeClass; any number of threads may use it. */
  handle(): SizeClassHandle {
    return this.#handle(0);
  }

  #handle(threadId: number): SizeClassHandle {
    const { source, backend, geometry, maximum } = this.#parts;
    const { memory, buffer } = source;
    const bytes = memory ? { memory } : { buffer: buffer as SharedArrayBuffer };
    const release = source.pages ? "auto" : false;
    return { backend, geometry, maximum, release, threadId, ...bytes };
  }

  /**
   * Starts a Worker of Node with a handle of its own, and recovers what it leaves behind when it
   * ends, however it does, as long as this thread has not detached: then `recover` is for others.
   */
  startWorker<W extends EndingWorker>(start: (handle: SizeClassHandle) => W): W {
    const threadId = this.core.threadIdDraw() >>> 0;
    const worker = start(this.#handle(threadId));
    worker.once("exit", () => this.#attached && this.recover(threadId));
    return worker;
  }

  /**
   * Gives the cache and the thread slot of this thread back. Later calls throw.
   *
   * @throws SizeClassError ERR_DOUBLE_FREE when a release finds a chunk twice; the thread has
   * detached all the same.
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

  /** detach: the memory and the blocks of other threads live on. */
  override destroy(): void {
    this.detach();
  }

  /**
   * Gives back what a thread had that does not run any more: locks, the chunks in its cache, its
   * thread slot. What it had taken and noted nowhere is lost, a batch at most. False: no such thread, or
   * another one recovers it.
   */
  recover(threadId: number): boolean {
    if (!Number.isInteger(threadId) || threadId < 1 || threadId > 0x3fffffff)
      threadRefuse(threadId);
    if (threadId === this.threadId) return false;
    return Boolean(this.core.threadRecover(threadId));
  }
}
