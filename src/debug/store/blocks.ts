/**
 * The allocator proper: blocks in slots and in runs of their own, from the backing allocator and
 * back to it. Stacks come as numbers; reports pile up in the watch until the call is over, so that
 * one which is thrown finds the state whole.
 */
import { SIZE_LIMIT } from "../../common/errors.ts";
import { type LeakGroup, memoryLimit } from "../report/mistakes.ts";
import type { Stacks } from "../report/stack-table.ts";
import type { Backing, Run } from "./backing.ts";
import {
  type AlignmentRequest,
  alignmentOf,
  type Block,
  frontZoneBytes,
  type Item,
  isAligned,
  Large,
  Page,
  REAR,
  Slot,
} from "./block.ts";
import { SizeClasses } from "./classes.ts";
import { FreedMemory } from "./freed-memory.ts";
import type { Settings } from "./options.ts";
import { Quarantine } from "./quarantine.ts";
import { detectors } from "./switches.ts";
import { BlockTable, leaksOf } from "./table.ts";
import { ZoneChecks } from "./zone-checks.ts";

/** What is new of a block that is resized; without a place it keeps its own. */
export interface Resize {
  readonly size: number;
  readonly align?: AlignmentRequest | undefined;
}

/** What Calls needs of an allocator proper, for one thread or for many. */
export interface BlockStore {
  /** Whether this thread gives everything back at the end, and tells of leaks. */
  readonly isMaker: boolean;
  readonly table: Finder;
  readonly retired: FreedHistory;
  readonly checks: ZoneChecks;
  /** Live blocks, and bytes that these were asked for with. */
  readonly live: number;
  readonly requested: number;
  /** Bytes of memory that are held. */
  readonly resident: number;
  /** Bytes that know about blocks. May walk the pages. */
  readonly overhead: number;
  /** The most that `requested` may be. */
  limit: number;
  /** A block, or 0: memory is out, or the limit is reached. */
  allocate(size: number, align: AlignmentRequest, heap: number, stack: number): number;
  /** Frees a live block; false when another thread was quicker. */
  free(block: Block, stack: number): boolean;
  /** Makes a live block `size` bytes long; 0, and the block as it was, when that cannot be. */
  resize(block: Block, wish: Resize, heap: number, stack: number): number;
  /** resize where the block is; 0 when it ends too early for that. */
  expand(block: Block, size: number, stack: number): number;
  /** Whether a block may stay where it is: the same class, or a run that is not half empty. */
  fits(block: Block, wish: Resize): boolean;
  /** Looks at every zone and all poison. */
  check(stack: number, atRest?: boolean): void;
  /** Live blocks by where they come from. */
  leaks(): LeakGroup[];
  /** The live blocks of a heap. */
  of(heap: number): Block[];
  /** Gives back what quarantine holds, and pages without live blocks. */
  collect(stack: number): void;
  /** Gives everything back, live blocks too; as new afterwards. */
  clear(): void;
}

/** From addresses to blocks. */
export interface Finder {
  /** The block that begins at ptr, or whose slot covers it: the question that every free asks. */
  at(ptr: number): Block | undefined;
  /** The block that covers an address, zones included. */
  covering(address: number): Block | undefined;
  /** The block whose bytes are closest to an address. Walks everything: for reports. */
  nearest(address: number): Block | undefined;
  items(): Iterable<Item>;
  /** Every block that was handed out and whose memory is still held, live or free. */
  blocks(): Iterable<Block>;
  /** Tells pointers that are no guarded block's, when sampling: quickly, and not all of them. */
  readonly filter: { isUnsampled(address: number): boolean } | undefined;
}

/** Blocks whose memory went back, as far as they are remembered. */
export interface FreedHistory {
  findFreed(ptr: number): Block | undefined;
  forget(): void;
}

/** Whose a block is, and which calls made it so. */
interface Owned {
  readonly heap: number;
  readonly allocated: number;
  readonly resized: number;
}

export class Blocks implements BlockStore {
  readonly isMaker = true;
  readonly table: BlockTable;
  readonly retired = new Quarantine();
  readonly checks: ZoneChecks;
  /** Bytes that live blocks were asked for with. */
  requested = 0;
  /** Live blocks. */
  live = 0;
  /** The most that `requested` may be. */
  limit: number;
  readonly #backing: Backing;
  readonly #settings: Settings;
  readonly #stacks: Stacks;
  readonly #classes: SizeClasses;
  readonly #freedMemory: FreedMemory;
  /** The page of each class that has slots left. Full pages are out of the way. */
  #current: (Page | undefined)[] = [];
  #order = 0;
  /** Bytes of runs: pages and large blocks, retired ones too. */
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

  /** A block, or 0: memory is out, or the limit is reached. */
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
    if (block instanceof Slot) this.#pageRetire(block.page, stack);
    else if (block instanceof Large) this.#retire(block, stack);
    return true;
  }

  /** Makes a live block `size` bytes long; 0, and the block as it was, when that cannot be. */
  resize(block: Block, wish: Resize, heap: number, stack: number): number {
    const { size } = wish;
    if (this.#isOverLimit(size - block.size, size, stack)) return 0;
    const here = this.fits(block, wish) && this.#reach(block, size);
    return here ? this.#resizeHere(block, size, stack) : this.#move(block, wish, heap, stack);
  }

  /** resize where the block is; 0 when it ends too early for that. */
  expand(block: Block, size: number, stack: number): number {
    if (block.ptr + size + REAR > block.limit) return 0;
    if (this.#isOverLimit(size - block.size, size, stack)) return 0;
    if (!this.#reach(block, size)) return 0;
    return this.#resizeHere(block, size, stack);
  }

  /** Looks at every zone and all poison. */
  check(stack: number): void {
    for (const block of this.table.blocks()) {
      if (block.live) this.checks.checkZones(block, stack);
      else this.checks.checkPoison(block, stack);
    }
  }

  leaks(): LeakGroup[] {
    return leaksOf(this.table.blocks());
  }

  /** The live blocks of a heap. */
  of(heap: number): Block[] {
    return [...this.table.blocks()].filter((block) => block.live && block.heap === heap);
  }

  /** Gives back what quarantine holds, and pages without live blocks. */
  collect(stack: number): void {
    if (this.#settings.neverUnmap) return;
    for (const [kind, page] of this.#current.entries()) {
      if (page?.live !== 0) continue;
      this.#current[kind] = undefined;
      this.retired.push(page);
    }
    while (this.#giveBackOldest(stack));
  }

  /** Gives everything back, live blocks too; as new afterwards. */
  clear(): void {
    for (const item of this.table.items()) if (this.#freedMemory.reuse(item)) this.#release(item);
    this.table.clear();
    this.retired.clear();
    this.#current = [];
    this.#held = 0;
    this.requested = 0;
    this.live = 0;
  }

  /** Bytes of memory that are held. */
  get resident(): number {
    return this.#held - this.#freedMemory.released;
  }

  /** Bytes of JavaScript that know about blocks. Walks the pages. */
  get overhead(): number {
    let sum = this.table.bytes + this.retired.historyBytes;
    for (const item of this.table.items()) sum += item.metadataBytes;
    return sum;
  }

  #isOverLimit(more: number, size: number, stack: number): boolean {
    const { requested: total, limit } = this;
    if (!this.#settings.enableMemoryLimit || !detectors.memoryLimit) return false;
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

  /** Whole pages behind a block that has shrunk go back, and are left out of its rear zone. */
  #shrink(large: Large): void {
    const { unit } = this.#freedMemory;
    this.#freedMemory.shrink(large, Math.ceil((large.ptr + large.size + REAR) / unit) * unit);
  }

  /** Whether there is memory for `size` bytes and a rear zone: also after a trim. */
  #reach(block: Block, size: number): boolean {
    if (block.ptr + size + REAR <= block.to || !(block instanceof Large)) return true;
    const { to } = block;
    if (!this.#freedMemory.reuse(block)) return false;
    this.checks.markRear(block, to);
    return true;
  }

  #new(size: number, align: AlignmentRequest, owned: Owned): number {
    const stack = owned.resized || owned.allocated; // the call that is going on
    const kind = this.#kindOf(size, align);
    const block = kind < 0 ? this.#largeNew(size, align, stack) : this.#slotNew(kind, stack);
    if (!block) return 0;
    block.allocate({ size, alignment: align.alignment, order: ++this.#order, ...owned });
    this.requested += size;
    this.live++;
    this.checks.markNew(block);
    return block.ptr;
  }

  /** The size class; -1 for a block that needs a run of its own, as one with an offset does. */
  #kindOf(size: number, align: AlignmentRequest): number {
    const { alignment, offset } = align;
    if (offset % alignment !== 0) return -1;
    return this.#classes.find(frontZoneBytes(align) + size + REAR, alignment);
  }

  #slotNew(kind: number, stack: number): Slot | undefined {
    const page = this.#current[kind] ?? this.#pageNew(kind, stack);
    if (!page) return this.#slotAgain(kind, stack);
    const slot = new Slot(page, page.next++);
    if (page.next === page.count) this.#current[kind] = undefined;
    return slot;
  }

  #pageNew(kind: number, stack: number): Page | undefined {
    const { pageSize } = this.#settings;
    const alignment = Math.max(this.#classes.alignment, this.#freedMemory.unit);
    const run = this.#acquire(alignment, pageSize, stack);
    if (!run) return undefined;
    const page = new Page(run, pageSize, this.#classes.slots[kind] as number, kind);
    this.table.add(page);
    this.#current[kind] = page;
    return page;
  }

  /** Memory is out: the slot of this class that is free for longest is used again. */
  #slotAgain(kind: number, stack: number): Slot | undefined {
    let page: Page | undefined;
    for (const each of this.table.pages) {
      const isOlder = each.oldest < (page?.oldest ?? Number.POSITIVE_INFINITY);
      if (each.kind === kind && each.freedState === "poisoned" && isOlder) page = each;
    }
    const slot = page?.slotAgain();
    if (slot) this.checks.checkPoison(slot, stack);
    return slot;
  }

  #largeNew(size: number, align: AlignmentRequest, stack: number): Large | undefined {
    const { unit } = this.#freedMemory;
    const bytes = Math.ceil(largeBytes(size, align) / unit) * unit;
    const run = this.#acquire(Math.max(align.alignment, unit, 16), bytes, stack);
    if (!run) return undefined;
    const large = new Large(run, align);
    this.table.add(large);
    return large;
  }

  /** A run; while memory is out, what was freed first goes back first. */
  #acquire(alignment: number, bytes: number, stack: number): Run | undefined {
    if (bytes > SIZE_LIMIT) return undefined;
    for (;;) {
      const run = this.#backing.acquire(alignment, bytes);
      if (run) this.#held += run.asked;
      if (run || !this.#giveBackOldest(stack)) return run;
    }
  }

  /** Whether a block may stay where it is: the same class, or a run that is not half empty. */
  fits(block: Block, { size, align }: Resize): boolean {
    if (align && !isAligned(block.ptr, align)) return false;
    const here = alignmentOf(block);
    const kind = this.#kindOf(size, here);
    if (block instanceof Slot) return kind === block.page.kind;
    const bytes = largeBytes(size, here);
    const held = block.limit - block.from;
    return kind < 0 && bytes <= held && bytes >= held / 2;
  }

  #move(block: Block, { size, align }: Resize, heap: number, stack: number): number {
    const { ptr, size: before } = block;
    const kept = this.#settings.resizeStackTraces;
    const stacks = kept
      ? { allocated: block.allocated, resized: stack }
      : { allocated: stack, resized: 0 };
    const to = this.#new(size, align ?? alignmentOf(block), { heap, ...stacks });
    if (to === 0) return 0;
    this.#backing.u8.copyWithin(to, ptr, ptr + Math.min(before, size));
    this.free(block, stack);
    return to;
  }

  /** A page is retired when no slot of it is used or will be. */
  #pageRetire(page: Page, stack: number): void {
    if (page.live === 0 && page.next === page.count) this.#retire(page, stack);
  }

  #retire(item: Page | Large, stack: number): void {
    const { neverUnmap, quarantine } = this.#settings;
    if (this.#freedMemory.discards) {
      this.checks.checkAllPoison(item, stack); // what lies there is lost
      this.#freedMemory.retire(item);
    }
    this.retired.push(item);
    while (!neverUnmap && this.retired.bytes > quarantine) this.#giveBackOldest(stack);
  }

  /** Whether there was one. What the system will not make usable again is kept out of use. */
  #giveBackOldest(stack: number): boolean {
    const item = this.retired.shift();
    if (!item) return false;
    this.checks.checkAllPoison(item, stack);
    if (!this.#freedMemory.reuse(item)) return this.#giveBackOldest(stack);
    this.table.remove(item);
    if (this.#settings.retainMetadata) this.retired.remember(item);
    this.#release(item);
    return true;
  }

  #release({ run }: Page | Large): void {
    this.#held -= run.asked;
    this.#backing.release(run);
  }
}

function largeBytes(size: number, align: AlignmentRequest): number {
  return Math.ceil((frontZoneBytes(align) + size + REAR) / 16) * 16;
}
