/**
 * The store of blocks of one thread: blocks in slots and in runs of their own, from the backing
 * allocator and back to it. Stacks come as numbers. Reports collect in `checks` until the call is
 * over, so that one which is thrown leaves a valid state.
 */
import { SIZE_LIMIT } from "../../common/errors.ts";
import { type LeakGroup, memoryLimit } from "../report/mistakes.ts";
import type { Stacks } from "../report/stack-table.ts";
import type { Backing } from "./allocator-like.ts";
import {
  type AlignmentRequest,
  alignmentOf,
  type Block,
  isAligned,
  largeBytes,
  REAR,
  type Run,
} from "./block.ts";
import { type BlockStore, movedOrigin, type Origin, type Resize } from "./block-store.ts";
import { SizeClasses } from "./classes.ts";
import { FreedMemory } from "./freed-memory.ts";
import { Large } from "./large.ts";
import type { Settings } from "./options.ts";
import { Page, Slot } from "./page.ts";
import { GivenBack, Quarantine } from "./quarantine.ts";
import { blocksOfHeap, findLeaks } from "./queries.ts";
import { BlockTable } from "./table.ts";
import { ZoneChecks } from "./zone-checks.ts";

export class Blocks implements BlockStore {
  readonly isMaker = true;
  readonly table: BlockTable;
  readonly history = new GivenBack();
  readonly checks: ZoneChecks;
  requested = 0;
  live = 0;
  limit: number;
  readonly #backing: Backing;
  readonly #settings: Settings;
  readonly #stacks: Stacks;
  readonly #classes: SizeClasses;
  readonly #freedMemory: FreedMemory;
  readonly #quarantine = new Quarantine();
  /** By class, the page that has slots left. */
  #current: (Page | undefined)[] = [];
  #order = 0;
  /** Bytes of the runs of all pages and large blocks, in quarantine too. */
  #held = 0;

  constructor(backing: Backing, settings: Settings, stacks: Stacks) {
    this.#backing = backing;
    this.#settings = settings;
    this.#stacks = stacks;
    this.limit = settings.requestedMemoryLimit;
    this.table = new BlockTable(settings.pageSize, settings.sampleEvery > 1);
    this.checks = new ZoneChecks(backing, stacks, settings);
    this.#classes = new SizeClasses(settings.pageSize);
    this.#freedMemory = new FreedMemory(backing.pages, settings.neverUnmap);
  }

  allocate(size: number, align: AlignmentRequest, heap: number, stack: number): number {
    if (this.#isOverLimit(size, size, stack)) return 0;
    return this.#new(size, align, { heap, allocated: stack, resized: 0 });
  }

  free(block: Block, stack: number): boolean {
    this.checks.checkZones(block, stack);
    this.requested -= block.size;
    this.live--;
    block.free(stack, ++this.#order);
    this.checks.poison(block);
    if (block instanceof Slot) this.#retirePage(block.page, stack);
    else if (block instanceof Large) this.#retire(block, stack);
    return true;
  }

  resize(block: Block, change: Resize, heap: number, stack: number): number {
    const { size } = change;
    if (this.#isOverLimit(size - block.size, size, stack)) return 0;
    const here = this.fits(block, change) && this.#reach(block, size);
    return here ? this.#resizeHere(block, size, stack) : this.#move(block, change, heap, stack);
  }

  expand(block: Block, size: number, stack: number): number {
    if (block.ptr + size + REAR > block.limit) return 0;
    if (this.#isOverLimit(size - block.size, size, stack)) return 0;
    if (!this.#reach(block, size)) return 0;
    return this.#resizeHere(block, size, stack);
  }

  fits(block: Block, { size, align }: Resize): boolean {
    if (align && !isAligned(block.ptr, align)) return false;
    const own = alignmentOf(block);
    const kind = this.#classes.find(size, own);
    if (block instanceof Slot) return kind === block.page.kind;
    const bytes = largeBytes(size, own);
    const held = block.limit - block.from;
    return kind < 0 && bytes <= held && bytes >= held / 2;
  }

  check(stack: number): void {
    for (const block of this.table.blocks()) {
      if (block.live) this.checks.checkZones(block, stack);
      else this.checks.checkPoison(block, stack);
    }
  }

  leaks(): LeakGroup[] {
    return this.#settings.detectors.leak ? findLeaks(this.table.blocks()) : [];
  }

  of(heap: number): Block[] {
    return blocksOfHeap(this.table.blocks(), heap);
  }

  collect(stack: number): void {
    if (this.#settings.neverUnmap) return;
    for (const [kind, page] of this.#current.entries()) {
      if (page?.live !== 0) continue;
      this.#current[kind] = undefined;
      this.#quarantine.add(page);
    }
    while (this.#giveBackOldest(stack));
  }

  clear(): void {
    for (const item of this.table.items()) if (this.#freedMemory.reuse(item)) this.#release(item);
    this.table.clear();
    this.#quarantine.clear();
    this.history.forget();
    this.#current = [];
    this.#held = 0;
    this.requested = 0;
    this.live = 0;
  }

  get resident(): number {
    return this.#held - this.#freedMemory.released;
  }

  get overhead(): number {
    let sum = this.table.bytes + this.history.bytes;
    for (const item of this.table.items()) sum += item.metadataBytes;
    return sum;
  }

  #isOverLimit(more: number, size: number, stack: number): boolean {
    const { requested: total, limit } = this;
    const { enableMemoryLimit, detectors } = this.#settings;
    if (!enableMemoryLimit || !detectors.memoryLimit) return false;
    if (more <= 0 || total + more <= limit) return false;
    this.checks.reports.push(memoryLimit(this.#stacks, { size, total, limit }, stack));
    return true;
  }

  #resizeHere(block: Block, size: number, stack: number): number {
    this.checks.checkZones(block, stack);
    const { size: before } = block;
    this.requested += size - before;
    block.resize(size, this.#settings.resizeStackTraces ? stack : 0);
    if (block instanceof Large && size < before) this.#shrink(block);
    this.checks.markResized(block, before);
    return block.ptr;
  }

  /** Gives back whole pages after a block that has shrunk; its rear zone ends before them. */
  #shrink(large: Large): void {
    const { unit } = this.#freedMemory;
    this.#freedMemory.shrink(large, Math.ceil((large.ptr + large.size + REAR) / unit) * unit);
  }

  /**
   * Whether there is memory for `size` bytes and a rear zone; takes back what #shrink gave back.
   */
  #reach(block: Block, size: number): boolean {
    if (block.ptr + size + REAR <= block.to || !(block instanceof Large)) return true;
    const { to } = block;
    if (!this.#freedMemory.reuse(block)) return false;
    this.checks.markRear(block, to);
    return true;
  }

  #new(size: number, align: AlignmentRequest, origin: Origin): number {
    const stack = origin.resized || origin.allocated; // of this call
    const kind = this.#classes.find(size, align);
    const block = kind < 0 ? this.#newLarge(size, align, stack) : this.#newSlot(kind, stack);
    if (!block) return 0;
    block.allocate({ size, alignment: align.alignment, order: ++this.#order, ...origin });
    this.requested += size;
    this.live++;
    this.checks.markNew(block);
    return block.ptr;
  }

  #newSlot(kind: number, stack: number): Slot | undefined {
    const page = this.#current[kind] ?? this.#newPage(kind, stack);
    if (!page) return this.#reuseSlot(kind, stack);
    const slot = new Slot(page, page.next++);
    if (page.next === page.count) this.#current[kind] = undefined;
    return slot;
  }

  #newPage(kind: number, stack: number): Page | undefined {
    const { pageSize } = this.#settings;
    const alignment = Math.max(this.#classes.alignment, this.#freedMemory.unit);
    const run = this.#acquire(alignment, pageSize, stack);
    if (!run) return undefined;
    const page = new Page(run, pageSize, this.#classes.slots[kind] as number, kind);
    this.table.add(page);
    this.#current[kind] = page;
    return page;
  }

  /** Memory is out: uses the slot of this class again that was freed first. */
  #reuseSlot(kind: number, stack: number): Slot | undefined {
    let page: Page | undefined;
    for (const each of this.table.pages) {
      const isOlder = each.oldest < (page?.oldest ?? Number.POSITIVE_INFINITY);
      if (each.kind === kind && each.freedState === "poisoned" && isOlder) page = each;
    }
    const slot = page?.takeOldestFree();
    if (!slot) return undefined;
    this.checks.checkPoison(slot, stack);
    this.checks.markGivenBack({ ...slot.page.run, base: slot.from, bytes: 1 });
    return slot;
  }

  #newLarge(size: number, align: AlignmentRequest, stack: number): Large | undefined {
    const { unit } = this.#freedMemory;
    const bytes = Math.ceil(largeBytes(size, align) / unit) * unit;
    const run = this.#acquire(Math.max(align.alignment, unit, 16), bytes, stack);
    if (!run) return undefined;
    const large = new Large(run, align);
    this.table.add(large);
    return large;
  }

  /** A run. While memory is out, gives the oldest memory in quarantine back. */
  #acquire(alignment: number, bytes: number, stack: number): Run | undefined {
    if (bytes > SIZE_LIMIT) return undefined;
    for (;;) {
      const run = this.#backing.acquire(alignment, bytes);
      if (run) this.#held += run.asked;
      if (run || !this.#giveBackOldest(stack)) return run;
    }
  }

  #move(block: Block, { size, align }: Resize, heap: number, stack: number): number {
    const { ptr, size: before } = block;
    const { resizeStackTraces } = this.#settings;
    const origin = movedOrigin(block, { heap, stack, resizeStackTraces });
    const to = this.#new(size, align ?? alignmentOf(block), origin);
    if (to === 0) return 0;
    this.#backing.u8.copyWithin(to, ptr, ptr + Math.min(before, size));
    this.free(block, stack);
    return to;
  }

  /** Retires a page of which no slot is in use or will be. */
  #retirePage(page: Page, stack: number): void {
    if (page.live === 0 && page.next === page.count) this.#retire(page, stack);
  }

  #retire(item: Page | Large, stack: number): void {
    const { neverUnmap, quarantine } = this.#settings;
    if (this.#freedMemory.discards) {
      this.checks.checkAllPoison(item, stack); // its contents are lost
      this.#freedMemory.retire(item);
    }
    this.#quarantine.add(item);
    while (!neverUnmap && this.#quarantine.bytes > quarantine) this.#giveBackOldest(stack);
  }

  /** Returns whether there was one. Memory that the system cannot make usable again is dropped. */
  #giveBackOldest(stack: number): boolean {
    const item = this.#quarantine.takeOldest();
    if (!item) return false;
    this.checks.checkAllPoison(item, stack);
    if (!this.#freedMemory.reuse(item)) return this.#giveBackOldest(stack);
    this.table.remove(item);
    this.checks.markGivenBack(item.run);
    if (this.#settings.retainMetadata) this.history.add(item);
    this.#release(item);
    return true;
  }

  #release({ run }: Page | Large): void {
    this.#held -= run.asked;
    this.#backing.release(run);
  }
}
