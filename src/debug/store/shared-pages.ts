/**
 * Pages of threads that share a heap. Each thread makes pages of its own, hands out their slots,
 * and has a quarantine for the pages that it retires. All threads find the blocks of all pages: a
 * cell of 64 KiB belongs to one page, so one look-up leads from an address to its block.
 */
import { SIZE_LIMIT } from "../../common/errors.ts";
import type { Backing } from "./allocator-like.ts";
import { type AlignmentRequest, type Block, largeBytes, type Run } from "./block.ts";
import { SizeClasses } from "./classes.ts";
import type { Finder, FreedHistory } from "./contract.ts";
import type { Settings } from "./options.ts";
import { findNearest } from "./queries.ts";
import { GONE, pageWords, RETIRED, SharedPage, type SharedSlot } from "./shared-page.ts";
import { CELL_SHIFT, HELD, type SharedState } from "./shared-state.ts";
import type { ZoneChecks } from "./zone-checks.ts";

/** The fewest slots of a page. A page has 64 KiB, and larger blocks have runs of their own. */
const SLOTS_LEAST = 4;
const CELL = 2 ** CELL_SHIFT;

export class SharedPages implements Finder, FreedHistory {
  readonly filter = this;
  readonly classes: SizeClasses;
  readonly #state: SharedState;
  readonly #backing: Backing;
  readonly #settings: Settings;
  readonly #checks: ZoneChecks;
  readonly #thread: number;
  #epoch: number;
  /** By class, the page whose slots this thread hands out. */
  #current: (SharedPage | undefined)[] = [];
  /** Pages that this thread has retired, oldest first. */
  #quarantine: SharedPage[] = [];
  #quarantineBytes = 0;

  /** @param thread The number that the state has given this thread. */
  constructor(
    backing: Backing,
    settings: Settings,
    checks: ZoneChecks,
    state: SharedState,
    thread: number,
  ) {
    this.#backing = backing;
    this.#settings = settings;
    this.#checks = checks;
    this.#state = state;
    this.#thread = thread;
    this.#epoch = state.epoch;
    this.classes = new SizeClasses(settings.pageSize, SLOTS_LEAST);
  }

  at(ptr: number): SharedSlot | undefined {
    const page = this.#state.pageAt(ptr);
    return page === 0 ? undefined : new SharedPage(this.#state, page).slotAt(ptr);
  }

  covering(address: number): SharedSlot | undefined {
    return this.at(address);
  }

  isUnsampled(address: number): boolean {
    return this.#state.pageAt(address) === 0;
  }

  nearest(address: number): Block | undefined {
    return findNearest(this.blocks(), address);
  }

  *items(): Generator<SharedPage> {
    for (const page of this.#records()) if (page.stage !== GONE) yield page;
  }

  *blocks(): Generator<SharedSlot> {
    for (const page of this.items()) yield* page.blocks();
  }

  /** With retainMetadata records are not used again. */
  findFreed(ptr: number): Block | undefined {
    if (!this.#settings.retainMetadata) return undefined;
    for (const page of this.#records()) {
      const block = page.stage === GONE && [...page.blocks()].find((each) => each.ptr === ptr);
      if (block) return block;
    }
    return undefined;
  }

  /** Lets the records of memory that was given back be used again. */
  forget(): void {
    for (const page of this.#records()) {
      if (page.stage === GONE) this.#spare(page);
    }
  }

  /** A slot for a block, and its page held for it; undefined when memory is out. */
  newSlot(size: number, align: AlignmentRequest, stack: number): SharedSlot | undefined {
    if (this.#epoch !== this.#state.epoch) this.#reset();
    const kind = this.classes.find(size, align);
    const page = kind < 0 ? this.#newLarge(size, align, stack) : this.#pageOf(kind, stack);
    return page?.nextSlot();
  }

  /** Stops handing out slots of a page of which none are left. */
  leaveIfFull(page: SharedPage, stack: number): void {
    if (page.next === page.count) this.#leave(page.kind, page, stack);
  }

  /** Releases a hold of a page, and retires the page if it was the last one. */
  releaseHold(page: SharedPage, stack: number): void {
    if (page.releaseHold()) this.#retire(page, stack);
  }

  /** Whether a page is in the quarantine of this thread. */
  isQuarantined(page: SharedPage): boolean {
    return this.#quarantine.some(({ at }) => at === page.at);
  }

  /** Gives back the pages of this thread that have no live blocks. */
  collect(stack: number): void {
    for (const [kind, page] of this.#current.entries()) {
      if (page?.isIdle) this.#leave(kind, page, stack);
    }
    while (this.#giveBackOldest(stack));
  }

  /** Gives back what this thread holds in quarantine, and leaves its pages to other threads. */
  leaveAll(): void {
    for (const [kind, page] of this.#current.entries()) if (page) this.#leave(kind, page, 0);
    while (this.#giveBackOldest(0));
  }

  /** Gives back the pages of all threads. No thread may use them at the time. */
  releaseAll(): void {
    for (const page of this.items()) {
      page.stage = GONE;
      this.#backing.release(page.run);
      this.#spare(page);
    }
    this.#state.renew();
    this.#reset();
  }

  *#records(): Generator<SharedPage> {
    for (const at of this.#state.pages()) yield new SharedPage(this.#state, at);
  }

  #pageOf(kind: number, stack: number): SharedPage | undefined {
    const known = this.#current[kind];
    if (known) return known;
    const { pageSize } = this.#settings;
    const slot = this.classes.slots[kind] as number;
    const made = this.#newPage(CELL, pageSize, { slot, kind, stack });
    this.#current[kind] = made;
    return made;
  }

  #newLarge(size: number, align: AlignmentRequest, stack: number): SharedPage | undefined {
    const slot = largeBytes(size, align);
    return this.#newPage(Math.max(align.alignment, CELL), slot, { slot, kind: -1, stack });
  }

  #newPage(
    alignment: number,
    bytes: number,
    facts: { slot: number; kind: number; stack: number },
  ): SharedPage | undefined {
    const { slot, kind, stack } = facts;
    const count = kind < 0 ? 1 : Math.floor(bytes / slot);
    const run = this.#acquire(alignment, bytes, stack);
    if (!run) return undefined;
    const page = this.#newRecord(count);
    if (!page) {
      this.#backing.release(run);
      return undefined;
    }
    page.init(run, { slot, count, kind, thread: this.#thread });
    this.#state.add(HELD, run.asked);
    this.#state.setPage(run.base, run.bytes, page.at);
    return page;
  }

  /** A record without memory; undefined when the state is full. */
  #newRecord(count: number): SharedPage | undefined {
    const state = this.#state;
    const spare = state.takeSpare(count, (each) => new SharedPage(state, each).count === count);
    if (spare !== 0) return new SharedPage(state, spare);
    const at = state.take(pageWords(count));
    if (at === 0) return undefined;
    state.addPage(at);
    return new SharedPage(state, at);
  }

  #acquire(alignment: number, bytes: number, stack: number): Run | undefined {
    if (bytes > SIZE_LIMIT) return undefined;
    for (;;) {
      const run = this.#backing.acquire(alignment, bytes);
      if (run || !this.#giveBackOldest(stack)) return run;
    }
  }

  /** Stops handing out slots of a page. */
  #leave(kind: number, page: SharedPage, stack: number): void {
    if (kind >= 0) this.#current[kind] = undefined;
    this.releaseHold(page, stack);
  }

  #retire(page: SharedPage, stack: number): void {
    const { neverUnmap, quarantine } = this.#settings;
    page.stage = RETIRED;
    this.#quarantine.push(page);
    this.#quarantineBytes += page.run.asked;
    while (!neverUnmap && this.#quarantineBytes > quarantine) this.#giveBackOldest(stack);
  }

  #giveBackOldest(stack: number): boolean {
    if (this.#epoch !== this.#state.epoch) this.#reset();
    const page = this.#quarantine.shift();
    if (!page) return false;
    const { run } = page;
    this.#quarantineBytes -= run.asked;
    this.#checks.checkAllPoison(page, stack);
    this.#state.setPage(run.base, run.bytes, 0);
    this.#checks.markGivenBack(run);
    page.stage = GONE;
    this.#state.add(HELD, -run.asked);
    this.#backing.release(run);
    if (!this.#settings.retainMetadata) this.#spare(page);
    return true;
  }

  /** Leaves a record without memory to all threads, once. */
  #spare(page: SharedPage): void {
    if (page.disown()) this.#state.addSpare(page.at, page.count);
  }

  /** Drops what this thread knows of its pages, because all pages were given back. */
  #reset(): void {
    this.#epoch = this.#state.epoch;
    this.#current = [];
    this.#quarantine = [];
    this.#quarantineBytes = 0;
  }
}
