/**
 * The allocator proper for threads that share a heap: the same slots, zones and quarantine as in
 * blocks.ts, over metadata that all threads see. A thread makes pages of its own and hands out
 * their slots; whoever frees the last block of a page holds it back and gives it back later. Each
 * cell of 64 KiB belongs to one page, so an address leads to its block by one look.
 *
 * Where threads are at the same time: a block is claimed for the length of each work on it, so a
 * second free finds it free, and a look at zones never meets a free half done.
 */
import { SIZE_LIMIT } from "../../common/errors.ts";
import { type LeakGroup, memoryLimit } from "../report/mistakes.ts";
import type { Backing, Run } from "./backing.ts";
import {
  type AlignmentRequest,
  alignmentOf,
  type Block,
  frontZoneBytes,
  isAligned,
  REAR,
} from "./block.ts";
import type { BlockStore, Resize } from "./blocks.ts";
import { SizeClasses } from "./classes.ts";
import type { Settings } from "./options.ts";
import { GONE, pageWords, RETIRED, SharedPage, type SharedSlot } from "./shared-page.ts";
import type { SharedStacks } from "./shared-stacks.ts";
import { CELL_SHIFT, HELD, LIMIT, LIVE, REQUESTED, type SharedState } from "./shared-state.ts";
import { detectors } from "./switches.ts";
import { leaksOf } from "./table.ts";
import { ZoneChecks } from "./zone-checks.ts";

/** Slots of a page, at least: a page is 64 KiB, and blocks above a quarter of it stand alone. */
const SLOTS_LEAST = 4;
const CELL = 2 ** CELL_SHIFT;

interface Owned {
  readonly heap: number;
  readonly allocated: number;
  readonly resized: number;
}

export class SharedBlocks implements BlockStore {
  readonly table = this;
  readonly retired = this;
  readonly filter = this;
  readonly checks: ZoneChecks;
  /** Whether this thread made the state, and ends it. */
  readonly isMaker: boolean;
  readonly #state: SharedState;
  readonly #backing: Backing;
  readonly #settings: Settings;
  readonly #stacks: SharedStacks;
  readonly #classes: SizeClasses;
  readonly #thread: number;
  #epoch: number;
  /** The pages whose slots this thread hands out, by class. */
  #current: (SharedPage | undefined)[] = [];
  /** Pages that this thread holds back, oldest first, and their bytes. */
  #quarantine: SharedPage[] = [];
  #quarantined = 0;
  /** Records without memory, by the number of their slots. */
  #spare = new Map<number, number[]>();

  constructor(backing: Backing, settings: Settings, stacks: SharedStacks, state: SharedState) {
    this.#backing = backing;
    this.#settings = settings;
    this.#stacks = stacks;
    this.#state = state;
    this.#thread = state.thread();
    this.isMaker = this.#thread === 1;
    this.#epoch = state.epoch;
    this.checks = new ZoneChecks(backing, stacks, settings);
    this.#classes = new SizeClasses(settings.pageSize, SLOTS_LEAST);
    if (this.isMaker) this.limit = settings.requestedMemoryLimit;
  }

  get live(): number {
    return this.#state.get(LIVE);
  }
  get requested(): number {
    return this.#state.get(REQUESTED);
  }
  get resident(): number {
    return this.#state.get(HELD);
  }
  get limit(): number {
    return this.#state.get(LIMIT);
  }
  set limit(bytes: number) {
    this.#state.set(LIMIT, Math.min(bytes, 0xffffffff));
  }
  /** Bytes of the shared state that were touched. */
  get overhead(): number {
    return this.#state.touched;
  }
  get bytes(): number {
    return 0;
  }

  allocate(size: number, align: AlignmentRequest, heap: number, stack: number): number {
    if (!this.#reserve(size, size, stack)) return 0;
    const ptr = this.#new(size, align, { heap, allocated: stack, resized: 0 });
    if (ptr === 0) this.#state.add(REQUESTED, -size);
    return ptr;
  }

  free(found: Block, stack: number): boolean {
    const block = found as SharedSlot;
    if (!block.claim()) return false;
    this.checks.checkZones(block, stack);
    this.#freeClaimed(block, stack);
    return true;
  }

  resize(found: Block, wish: Resize, heap: number, stack: number): number {
    const block = found as SharedSlot;
    if (!block.claim()) return 0;
    const { size: before } = block;
    const { size } = wish;
    if (!this.#reserve(size - before, size, stack)) return this.#unclaim(block);
    if (this.fits(block, wish)) return this.#resizeHere(block, size, stack);
    const to = this.#move(block, wish, heap, stack);
    if (to !== 0) return to;
    this.#state.add(REQUESTED, before - size);
    return this.#unclaim(block);
  }

  expand(found: Block, size: number, stack: number): number {
    const block = found as SharedSlot;
    if (block.ptr + size + REAR > block.limit || !block.claim()) return 0;
    if (!this.#reserve(size - block.size, size, stack)) return this.#unclaim(block);
    return this.#resizeHere(block, size, stack);
  }

  fits(block: Block, { size, align }: Resize): boolean {
    if (align && !isAligned(block.ptr, align)) return false;
    const here = alignmentOf(block);
    const kind = this.#kindOf(size, here);
    const { page } = block as SharedSlot;
    if (kind !== page.kind) return false;
    return kind >= 0 || (fullBytes(size, here) <= page.slot && 2 * size >= page.slot);
  }

  /** Looks at pages of all threads; at what others hold back only when they are at rest. */
  check(stack: number, atRest = false): void {
    for (const page of this.items()) {
      if (page.hold()) {
        this.#pageCheck(page, stack);
        if (page.letGo()) this.#retire(page, stack);
      } else if (atRest || this.#quarantine.some(({ at }) => at === page.at)) {
        this.checks.checkAllPoison(page, stack);
      }
    }
  }

  leaks(): LeakGroup[] {
    return leaksOf(this.blocks());
  }

  of(heap: number): Block[] {
    return [...this.blocks()].filter((block) => block.live && block.heap === heap);
  }

  collect(stack: number): void {
    if (this.#settings.neverUnmap) return;
    for (const [kind, page] of this.#current.entries()) {
      if (page?.isIdle) this.#pageLeave(kind, page, stack);
    }
    while (this.#giveBackOldest(stack));
  }

  /** The maker gives everything back; another thread leaves what it has to the others. */
  clear(): void {
    if (!this.isMaker) {
      for (const [kind, page] of this.#current.entries()) if (page) this.#pageLeave(kind, page, 0);
      while (this.#giveBackOldest(0));
      return;
    }
    for (const page of this.items()) {
      page.stage = GONE;
      this.#backing.release(page.run);
    }
    this.#state.renew();
    this.#forget();
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
    let nearest: Block | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const block of this.blocks()) {
      const distance = Math.max(block.ptr - address, address - block.ptr - block.size, 0);
      if (distance < least) [least, nearest] = [distance, block];
    }
    return nearest;
  }

  *items(): Generator<SharedPage> {
    for (const at of this.#state.pages()) {
      const page = new SharedPage(this.#state, at);
      if (page.stage !== GONE) yield page;
    }
  }

  *blocks(): Generator<SharedSlot> {
    for (const page of this.items()) yield* page.blocks();
  }

  /** With retainMetadata records are not used again. */
  findFreed(ptr: number): Block | undefined {
    if (!this.#settings.retainMetadata) return undefined;
    for (const at of this.#state.pages()) {
      const page = new SharedPage(this.#state, at);
      const block = page.stage === GONE && [...page.blocks()].find((each) => each.ptr === ptr);
      if (block) return block;
    }
    return undefined;
  }

  /** The records of this thread serve again. */
  forget(): void {
    for (const at of this.#state.pages()) {
      const page = new SharedPage(this.#state, at);
      if (page.stage === GONE && page.thread === this.#thread) this.#spareAdd(page);
    }
  }

  /** Counts bytes before they are there: threads together stay below the limit. */
  #reserve(more: number, size: number, stack: number): boolean {
    const total = this.#state.add(REQUESTED, more);
    const { limit } = this;
    if (!this.#settings.enableMemoryLimit || !detectors.memoryLimit) return true;
    if (more <= 0 || total <= limit) return true;
    this.#state.add(REQUESTED, -more);
    const request = { size, total: total - more, limit };
    this.checks.reports.push(memoryLimit(this.#stacks, request, stack));
    return false;
  }

  #new(size: number, align: AlignmentRequest, owned: Owned): number {
    if (this.#epoch !== this.#state.epoch) this.#forget();
    const stack = owned.resized || owned.allocated;
    const kind = this.#kindOf(size, align);
    const page = kind < 0 ? this.#largeNew(size, align, stack) : this.#pageOf(kind, stack);
    if (!page) return 0;
    const slot = page.slotNext();
    slot.place(align);
    const { alignment } = align;
    slot.allocate({ size, alignment, order: this.#state.order(), ...owned });
    this.checks.markNew(slot);
    this.#state.add(LIVE, 1);
    slot.publish(alignment);
    if (page.next === page.count) this.#pageLeave(page.kind, page, stack);
    return slot.ptr;
  }

  #kindOf(size: number, align: AlignmentRequest): number {
    if (align.offset % align.alignment !== 0) return -1;
    return this.#classes.find(frontZoneBytes(align) + size + REAR, align.alignment);
  }

  #pageOf(kind: number, stack: number): SharedPage | undefined {
    const known = this.#current[kind];
    if (known) return known;
    const { pageSize } = this.#settings;
    const slot = this.#classes.slots[kind] as number;
    const made = this.#pageNew(CELL, pageSize, { slot, kind, stack });
    this.#current[kind] = made;
    return made;
  }

  #largeNew(size: number, align: AlignmentRequest, stack: number): SharedPage | undefined {
    const slot = fullBytes(size, align);
    return this.#pageNew(Math.max(align.alignment, CELL), slot, { slot, kind: -1, stack });
  }

  #pageNew(
    alignment: number,
    bytes: number,
    facts: { slot: number; kind: number; stack: number },
  ): SharedPage | undefined {
    const { slot, kind, stack } = facts;
    const count = kind < 0 ? 1 : Math.floor(bytes / slot);
    const run = this.#acquire(alignment, bytes, stack);
    if (!run) return undefined;
    const page = this.#record(count);
    if (!page) {
      this.#backing.release(run);
      return undefined;
    }
    page.init(run, { slot, count, kind, thread: this.#thread });
    this.#state.add(HELD, run.asked);
    this.#state.pageSet(run.base, run.bytes, page.at);
    return page;
  }

  /** A record that no memory has; undefined when the state is full. */
  #record(count: number): SharedPage | undefined {
    const spare = this.#spare.get(count)?.pop();
    if (spare !== undefined) return new SharedPage(this.#state, spare);
    const at = this.#state.take(pageWords(count));
    if (at === 0) return undefined;
    this.#state.pagePush(at);
    return new SharedPage(this.#state, at);
  }

  #acquire(alignment: number, bytes: number, stack: number): Run | undefined {
    if (bytes > SIZE_LIMIT) return undefined;
    for (;;) {
      const run = this.#backing.acquire(alignment, bytes);
      if (run || !this.#giveBackOldest(stack)) return run;
    }
  }

  #unclaim(block: SharedSlot): 0 {
    block.release(false);
    return 0;
  }

  #resizeHere(block: SharedSlot, size: number, stack: number): number {
    this.checks.checkZones(block, stack);
    const { size: before } = block;
    block.resize(size, this.#settings.resizeStackTraces ? stack : 0);
    this.checks.markResized(block, before);
    block.release(false);
    return block.ptr;
  }

  /** The bytes of the new block are counted already. */
  #move(block: SharedSlot, { size, align }: Resize, heap: number, stack: number): number {
    const { ptr, size: before, allocated } = block;
    const stacks = this.#settings.resizeStackTraces
      ? { allocated, resized: stack }
      : { allocated: stack, resized: 0 };
    const to = this.#new(size, align ?? alignmentOf(block), { heap, ...stacks });
    if (to === 0) return 0;
    this.#backing.u8.copyWithin(to, ptr, ptr + Math.min(before, size));
    this.checks.checkZones(block, stack);
    this.#state.add(REQUESTED, before);
    this.#freeClaimed(block, stack);
    return to;
  }

  #freeClaimed(block: SharedSlot, stack: number): void {
    this.#state.add(REQUESTED, -block.size);
    this.#state.add(LIVE, -1);
    block.free(stack, this.#state.order());
    this.checks.poison(block);
    block.release(true);
    if (block.page.letGo()) this.#retire(block.page, stack);
  }

  #pageCheck(page: SharedPage, stack: number): void {
    for (const block of page.blocks()) {
      if (block.claim()) {
        this.checks.checkZones(block, stack);
        block.release(false);
      } else if (!block.live) {
        this.checks.checkPoison(block, stack);
      }
    }
  }

  /** This thread hands out no more of a page's slots. */
  #pageLeave(kind: number, page: SharedPage, stack: number): void {
    if (kind >= 0) this.#current[kind] = undefined;
    if (page.letGo()) this.#retire(page, stack);
  }

  #retire(page: SharedPage, stack: number): void {
    const { neverUnmap, quarantine } = this.#settings;
    page.stage = RETIRED;
    this.#quarantine.push(page);
    this.#quarantined += page.run.asked;
    while (!neverUnmap && this.#quarantined > quarantine) this.#giveBackOldest(stack);
  }

  #giveBackOldest(stack: number): boolean {
    if (this.#epoch !== this.#state.epoch) this.#forget();
    const page = this.#quarantine.shift();
    if (!page) return false;
    const { run } = page;
    this.#quarantined -= run.asked;
    this.checks.checkAllPoison(page, stack);
    this.#state.pageSet(run.base, run.bytes, 0);
    page.stage = GONE;
    this.#state.add(HELD, -run.asked);
    this.#backing.release(run);
    if (!this.#settings.retainMetadata) this.#spareAdd(page);
    return true;
  }

  #spareAdd({ count, at }: SharedPage): void {
    const spare = this.#spare.get(count) ?? [];
    this.#spare.set(count, spare);
    spare.push(at);
  }

  /** The maker has given everything back. */
  #forget(): void {
    this.#epoch = this.#state.epoch;
    this.#current = [];
    this.#quarantine = [];
    this.#quarantined = 0;
  }
}

function fullBytes(size: number, align: AlignmentRequest): number {
  return Math.ceil((frontZoneBytes(align) + size + REAR) / 16) * 16;
}
