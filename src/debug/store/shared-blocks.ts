/**
 * The store of blocks of threads that share a heap: the same slots, zones and quarantine as in
 * blocks.ts, over metadata that all threads see.
 *
 * A thread claims a block for as long as it works on it. So a second free finds the block free, and
 * a check of zones never meets a free that is half done.
 */
import { type LeakGroup, memoryLimit } from "../report/mistakes.ts";
import type { Backing } from "./allocator-like.ts";
import {
  type AlignmentRequest,
  alignmentOf,
  type Block,
  isAligned,
  largeBytes,
  REAR,
} from "./block.ts";
import { type BlockStore, movedOrigin, type Origin, type Resize } from "./block-store.ts";
import type { Settings } from "./options.ts";
import { blocksOfHeap, findLeaks } from "./queries.ts";
import type { SharedPage, SharedSlot } from "./shared-page.ts";
import { SharedPages } from "./shared-pages.ts";
import type { SharedStacks } from "./shared-stacks.ts";
import { HELD, LIMIT, LIVE, REQUESTED, type SharedState } from "./shared-state.ts";
import { ZoneChecks } from "./zone-checks.ts";

export class SharedBlocks implements BlockStore {
  readonly table: SharedPages;
  readonly history: SharedPages;
  readonly checks: ZoneChecks;
  readonly isMaker: boolean;
  readonly #state: SharedState;
  readonly #backing: Backing;
  readonly #settings: Settings;
  readonly #stacks: SharedStacks;

  constructor(backing: Backing, settings: Settings, stacks: SharedStacks, state: SharedState) {
    const thread = state.thread();
    this.#backing = backing;
    this.#settings = settings;
    this.#stacks = stacks;
    this.#state = state;
    this.isMaker = thread === 1;
    this.checks = new ZoneChecks(backing, stacks, settings);
    this.table = new SharedPages(backing, settings, this.checks, state, thread);
    this.history = this.table;
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

  /** Bytes of the shared state that were ever written. */
  get overhead(): number {
    return this.#state.touched;
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

  resize(found: Block, change: Resize, heap: number, stack: number): number {
    const block = found as SharedSlot;
    if (!block.claim()) return 0;
    const { size: before } = block;
    const { size } = change;
    if (!this.#reserve(size - before, size, stack)) return this.#unclaim(block);
    if (this.fits(block, change)) return this.#resizeHere(block, size, stack);
    const to = this.#move(block, change, heap, stack);
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
    const own = alignmentOf(block);
    const kind = this.table.classes.find(size, own);
    const { page } = block as SharedSlot;
    if (kind !== page.kind) return false;
    return kind >= 0 || (largeBytes(size, own) <= page.slot && 2 * size >= page.slot);
  }

  /** Checks the pages of all threads; those in the quarantine of others only if `atRest`. */
  check(stack: number, atRest = false): void {
    for (const page of this.table.items()) {
      if (page.hold()) {
        this.#checkPage(page, stack);
        this.table.releaseHold(page, stack);
      } else if (atRest || this.table.isQuarantined(page)) {
        this.checks.checkAllPoison(page, stack);
      }
    }
  }

  leaks(): LeakGroup[] {
    return this.#settings.detectors.leak ? findLeaks(this.table.blocks()) : [];
  }

  of(heap: number): Block[] {
    return blocksOfHeap(this.table.blocks(), heap);
  }

  collect(stack: number): void {
    if (!this.#settings.neverUnmap) this.table.collect(stack);
  }

  /** The maker gives everything back; any other thread leaves its pages to the others. */
  clear(): void {
    if (this.isMaker) this.table.releaseAll();
    else this.table.leaveAll();
  }

  /** Counts bytes before they are allocated, so that all threads together stay below the limit. */
  #reserve(more: number, size: number, stack: number): boolean {
    const total = this.#state.add(REQUESTED, more);
    const { limit } = this;
    const { enableMemoryLimit, detectors } = this.#settings;
    if (!enableMemoryLimit || !detectors.memoryLimit) return true;
    if (more <= 0 || total <= limit) return true;
    this.#state.add(REQUESTED, -more);
    const request = { size, total: total - more, limit };
    this.checks.reports.push(memoryLimit(this.#stacks, request, stack));
    return false;
  }

  #new(size: number, align: AlignmentRequest, origin: Origin): number {
    const stack = origin.resized || origin.allocated; // of this call
    const slot = this.table.newSlot(size, align, stack);
    if (!slot) return 0;
    slot.setPtr(align);
    const { alignment } = align;
    slot.allocate({ size, alignment, order: this.#state.order(), ...origin });
    this.checks.markNew(slot);
    this.#state.add(LIVE, 1);
    slot.publish(alignment);
    this.table.leaveIfFull(slot.page, stack);
    return slot.ptr;
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
    const { ptr, size: before } = block;
    const { resizeStackTraces } = this.#settings;
    const origin = movedOrigin(block, { heap, stack, resizeStackTraces });
    const to = this.#new(size, align ?? alignmentOf(block), origin);
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
    this.table.releaseHold(block.page, stack);
  }

  #checkPage(page: SharedPage, stack: number): void {
    for (const block of page.blocks()) {
      if (block.claim()) {
        this.checks.checkZones(block, stack);
        block.release(false);
      } else if (!block.live) {
        this.checks.checkPoison(block, stack);
      }
    }
  }
}
