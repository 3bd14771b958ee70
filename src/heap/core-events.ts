/** What the core tells its heap: failures, mistakes, and that it is time for deferred frees. */

import { ENOMEM } from "../common/errno.ts";
import { HeapError, outOfMemory, SIZE_LIMIT } from "../common/errors.ts";
import { logError } from "../common/log.ts";
import { errorText, NEW_FAILED_TEXT } from "../common/log-messages.ts";
import type { MemoryViews } from "../common/views.ts";
import { DEFERRED_FREE, NEW_FAILED, SLICE_SHIFT } from "../core/layout/layout.ts";
import type { MemorySource } from "../memory/index.ts";
import type { ErrorHandler, Mistake } from "./backend.ts";
import { wholeBytes } from "./calls/cells.ts";
import type { HeapHost } from "./calls/contract.ts";
import { rangeIsOurs } from "./owned-slices.ts";
import type { HeapObservers } from "./stats/contract.ts";

/**
 * Frees what a program has put off. Called now and then from inside malloc, before it takes more
 * memory, and by `collect`; `force`: memory is out. `heartbeat` counts the calls.
 */
export type DeferredFree = (force: boolean, heartbeat: number) => void;

/** Where the core's hooks lead: it tells of growth and errors before the heap is made. */
export class Host implements HeapHost {
  newHandler: (() => void) | undefined;
  views: MemoryViews | undefined;
  source: MemorySource | undefined;
  observers: HeapObservers | undefined;
  handler: ErrorHandler | undefined;
  deferred: DeferredFree | undefined;
  /** In messages: 0 = the thread that made the memory. */
  thread = 0;
  #beats = 0;
  #inside = false;

  constructor(handler: ErrorHandler | undefined) {
    this.handler = handler;
  }

  coreReport({ errno, code, ptr, text }: Mistake): void {
    this.#fail(errno, ptr, text);
    if (!this.handler) throw new HeapError(code, ptr, text);
  }

  bytes(): Uint8Array {
    const views = this.views as MemoryViews;
    return views.least === 0 ? views.of("u8") : wholeBytes(views.of("u8"), views.buffer);
  }

  owns(address: number): boolean {
    const { start, capabilities } = this.source as MemorySource;
    const words = (this.views as MemoryViews).of("u32");
    const slice = address >>> SLICE_SHIFT;
    return rangeIsOurs(words, start, slice, slice + 1, capabilities.shared);
  }

  /** An operator new of a wasm module asks for its handler by the same import. */
  coreError(code: number, size: number): void {
    if (this.observers?.event(code, size)) return;
    if (code === DEFERRED_FREE) this.#deferredRun(size === 1);
    else if (code !== NEW_FAILED) this.#fail(code, size, errorText(code, size));
    else this.#newFailed(size);
  }

  /** The core tries again after the handler: without an end, if no memory suffices. */
  #newFailed(size: number): void {
    const handler = this.newHandler;
    handler?.();
    if (handler && size <= SIZE_LIMIT) return;
    this.newFails(size);
    throw outOfMemory("operator new", size);
  }

  /** What the function allocates and collects itself does not call it again. */
  #deferredRun(force: boolean): void {
    if (this.#inside) return;
    this.#inside = true;
    try {
      this.#beats += 1;
      this.deferred?.(force, this.#beats);
    } finally {
      this.#inside = false;
    }
  }

  newFails(size: number): void {
    this.#fail(ENOMEM, size, NEW_FAILED_TEXT);
  }

  /** The handler hears of every error, whatever is printed of it. */
  #fail(code: number, value: number, text: string): void {
    logError(text, this.thread);
    this.handler?.(code, value, text);
  }
}
