/** A heap that threads share: each has one of these over the same memory. */

import { heapDetached, threadRefuse } from "../common/errors.ts";
import type { SharedCoreExports } from "../core/contract.ts";
import type { MemorySource } from "../memory/index.ts";
import type { CoreHooks, ErrorHandler, ThreadSeat } from "./backend.ts";
import type { BackEnd } from "./calls/contract.ts";
import type { HardenedStart } from "./hardening-features.ts";
import { Heap } from "./heap.ts";
import type { PurgeSettings } from "./purge-settings.ts";
import type { StatsLevel } from "./stats/contract.ts";
import type { HeapStats } from "./stats/numbers.ts";
import type { BlockVisitor } from "./stats/walk.ts";
import { blocksVisit, ownersOf, readStats } from "./stats/walk.ts";
import type { VisitOptions } from "./sub-heap.ts";
import { type Watch, watchAccept, watchOpen } from "./worker-watch.ts";

/** Changes whenever the layout of the memory does: all threads need the same terrane. */
export const HANDLE_VERSION = 2;

/** What another thread needs to attach: can be sent with postMessage or as workerData. */
export interface HeapHandle extends ThreadSeat {
  /** Version of the memory's layout: only the same version of terrane can attach. */
  readonly terrane: number;
  /** The back end of the heap, which all its threads use. */
  readonly backend: BackEnd;
  /** The shared memory, over which wasm runs. */
  readonly memory?: WebAssembly.Memory;
  /** The shared memory where there is no WebAssembly.Memory. */
  readonly buffer?: SharedArrayBuffer;
  /** Bytes beyond which the memory does not grow. */
  readonly maximum?: number | undefined;
  /** Whether the heap gives free memory back to the operating system. */
  readonly release: boolean;
  /** That the core is a hardened one; the memory says which features it has. */
  readonly hardening?: { readonly seed?: number | undefined } | undefined;
  /** All threads of a memory count alike, or what one allocates and another frees does not fit. */
  readonly statsLevel?: StatsLevel | undefined;
  /** How a Worker of a browser lets the heap that started it see its end. */
  readonly watch?: string | undefined;
}

interface SharedHeapParts {
  backend: BackEnd;
  source: MemorySource;
  onError: ErrorHandler | undefined;
  purge?: PurgeSettings;
  maximum: number | undefined;
  hardening: Pick<HardenedStart, "seed"> | undefined;
  /** The compiled core, for the threads that attach. */
  module?: WebAssembly.Module | undefined;
  handle?: HeapHandle;
  start(hooks: CoreHooks): SharedCoreExports;
}

/** A Worker of Node or of a browser, which has no `once`. */
interface EndingWorker {
  terminate(): unknown;
  once?(event: "exit", listener: () => void): unknown;
}

/** Options of `visitBlocks` of a shared heap. */
export interface SharedVisitOptions extends VisitOptions {
  /**
   * Takes the pages of threads that have ended first, so that their blocks are visited too.
   * Default: false.
   */
  abandoned?: boolean;
}

/**
 * One thread's heap in a memory that threads share. Every thread allocates from pages of its own,
 * without a lock; any thread may free, resize and read any block. docs/guide/threads.md tells what
 * may be called from where, and what happens when a thread dies.
 *
 * It extends Heap because it is one: the same calls on the same memory. What differs is what needs
 * the pages of other threads, and how it ends.
 *
 * @example
 * const heap = createSharedHeap();
 * const mine = attachHeap(heap.handle()); // mostly in a Worker
 * heap.free(mine.malloc(100));
 * mine.detach();
 */
export class SharedHeap extends Heap {
  /** A number that no other thread of this memory has or will have, from 1 on. */
  readonly threadId: number;
  /**
   * Settles when the heap that started this thread is sure to learn of its end: true, in Node at
   * once. In a browser that takes some turns of the event loop: await it before a loop that blocks
   * for long. False if no heap watches, as with a handle of `handle()`.
   */
  readonly watched: Promise<boolean>;
  protected declare core: SharedCoreExports;
  readonly #maximum: number | undefined;
  readonly #hardening: HeapHandle["hardening"];
  /** Of wasm: the threads that attach need not compile it again. */
  readonly #module: WebAssembly.Module | undefined;
  #attached = true;
  #watch: Watch | undefined;

  /** Use createSharedHeap or attachHeap. */
  constructor(parts: SharedHeapParts) {
    super({ ...parts, shared: true });
    this.#maximum = parts.maximum;
    this.#hardening = parts.hardening && { seed: parts.hardening.seed };
    this.#module = parts.module;
    this.threadId = this.core.threadBound() >>> 0;
    this.host.thread = this.threadId === 1 ? 0 : this.threadId;
    this.watched = watchAccept(parts.handle);
  }

  protected override get thread(): number {
    return this.threadId;
  }

  /**
   * What another thread needs for attachHeap; any number of threads may use it. Can be cloned by
   * postMessage among the Workers of one process, or of one cross-origin isolated page.
   *
   * @throws HeapError ERR_HEAP_DETACHED.
   */
  handle(): HeapHandle {
    return this.#handle(0);
  }

  /** @param thread The id of the one thread that it is for; 0 = of any. */
  #handle(thread: number, watch?: string): HeapHandle {
    this.checkLive();
    const { memory, buffer, start, capabilities } = this.source;
    const bytes = memory ? { memory, module: this.#module } : { buffer };
    const { backend, statsLevel } = this;
    const state = { terrane: HANDLE_VERSION, backend, start, ticket: thread };
    const settings = {
      maximum: this.#maximum,
      release: capabilities.canRelease,
      hardening: this.#hardening,
      statsLevel,
    };
    return { ...state, ...bytes, ...settings, watch } as HeapHandle;
  }

  /**
   * Ends this thread's part: its blocks stay valid, its pages are taken over by threads that need
   * space or free blocks in them. Every later call of this object throws ERR_HEAP_DETACHED; detach
   * does nothing then.
   */
  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    exits.delete(this);
    this.#watch?.close();
    try {
      this.walk(() => this.core.threadDetach());
    } finally {
      this.end(heapDetached);
    }
  }

  /** `detach`: the memory and the blocks of other threads live on. */
  override destroy(): void {
    this.detach();
  }

  /**
   * Frees the pages of a thread for others that ended without detach, terminated for example. It
   * must not run any more: wait for its Worker's exit event. A Worker of a browser may run for
   * seconds after terminate(): leave it to startWorker, which knows when it has ended. Returns
   * whether there was such a thread, so calling twice is harmless.
   *
   * @throws RangeError for the caller's own threadId.
   */
  recover(threadId: number): boolean {
    this.checkLive();
    const good = typeof threadId === "number" && threadId >>> 0 === threadId;
    if (!good || threadId === 0 || threadId > 0x3fffffff) threadRefuse(threadId);
    if (threadId === this.threadId) throw new RangeError("recover: this thread is alive");
    return this.walk(() => !!this.core.threadRecover(threadId));
  }

  /**
   * Starts a Worker whose end this heap watches: `make` gets a handle for exactly one thread and
   * returns the Worker that it sends it to. When the Worker ends, however it does, what it left is
   * recovered: in Node at its exit event, in a browser by a lock that it holds for its life, which
   * needs this thread's event loop too.
   *
   * @example
   * const worker = heap.startWorker((handle) => new Worker(url, { workerData: handle }));
   */
  startWorker<W extends EndingWorker>(make: (handle: HeapHandle) => W): W {
    this.checkLive();
    const thread = this.core.threadIdDraw() >>> 0;
    this.#watch ??= watchOpen((ended) => this.#recoverEnded(ended));
    const worker = make(this.#handle(thread, this.#watch.name));
    worker.once?.("exit", () => this.#recoverEnded(thread));
    return worker;
  }

  #recoverEnded(thread: number): void {
    if (this.#attached) this.walk(() => this.core.threadRecover(thread));
  }

  /** Detaches when the process or Worker ends by itself, where the platform tells. Returns this. */
  detachAtExit(): this {
    exitHook();
    exits.add(this);
    return this;
  }

  /**
   * Statistics of the whole memory, all threads together. While others work they are of no single
   * moment; blocks that were freed by another thread count until the page's owner takes them.
   */
  override stats(): HeapStats {
    this.checkLive();
    this.walk(() => this.core.remoteTakeAll());
    return readStats(this.u32, this.source.start, { level: this.statsLevel, shared: true });
  }

  /**
   * As Heap.visitBlocks, over the blocks in this thread's pages, in use by whichever thread. The
   * pages of other threads cannot be read while these work.
   */
  override visitBlocks(
    visit: BlockVisitor | undefined,
    { abandoned = false, areas }: SharedVisitOptions = {},
  ): boolean {
    this.checkLive();
    this.walk(() => {
      if (abandoned) this.core.abandonedAdoptAll();
      this.core.remoteTakeAll();
    });
    const owner = ownersOf(this.u32, this.threadId, abandoned);
    return blocksVisit(this.u32, this.source.start, visit, { owner, areas, next: this.blockNext });
  }
}

const exits = new Set<SharedHeap>();
let exitsHooked = false;

/** One listener for all heaps of this thread. */
function exitHook(): void {
  if (exitsHooked || typeof process !== "object" || typeof process.once !== "function") return;
  exitsHooked = true;
  process.once("exit", () => {
    for (const heap of exits) heap.detach();
  });
}
