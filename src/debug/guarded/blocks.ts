/**
 * The guarded blocks: their slots, stacks and mistakes. The allocator's calls are in guarded.ts.
 */
import type { HeapGuards } from "../../core/contract.ts";
import type { MemorySource, PageOperations } from "../../memory/index.ts";
import { doubleFree } from "../report/mistakes.ts";
import { type Report, sendReports } from "../report/report.ts";
import { type Entry, StackTable } from "../report/stack-table.ts";
import { type GuardedBelow, type GuardRange, NATURAL, takeRange } from "./below.ts";
import { GuardFaults } from "./faults.ts";
import { damagedBlock, wrongPointer } from "./mistakes.ts";
import type { GuardedSettings } from "./options.ts";
import { Pace } from "./pace.ts";
import { type GuardSlot, GuardSlots, planSlots, type SlotPlan } from "./slots.ts";

/** Statistics of guarded blocks, as they are now. */
export interface GuardedStats {
  /** Guarded blocks that are live. */
  blocks: number;
  /** Freed blocks that the system did not make inaccessible. */
  open: number;
  /** Allocations that were guarded so far. */
  guarded: number;
  /** Allocations that were chosen but not guarded: too soon, without a free slot, or too large. */
  missed: number;
  /** Bytes of address space of slots and guards; most of them have no physical memory. */
  bytes: number;
}

/** The most frames of the heap between its functions and the guards. */
const HEAP_FRAMES = 16;

export class GuardedBlocks {
  /** Where the range of slots begins. */
  readonly from: number;
  readonly bytes: number;
  /** Whether the heap below chooses the allocations that are guarded. */
  readonly areChosenBelow: boolean;
  readonly faults: GuardFaults;
  readonly #settings: GuardedSettings;
  readonly #slots: GuardSlots;
  readonly #range: GuardRange;
  readonly #stacks: StackTable;
  readonly #pace: Pace;
  #atEnd: boolean;
  #guarded = 0;
  #missed = 0;

  /** @throws RangeError if there is no memory for the slots, or it cannot be guarded. */
  constructor(below: GuardedBelow, source: MemorySource, settings: GuardedSettings) {
    const pages = source.pages as PageOperations;
    const plan = planSlots(settings.slots, settings.slotBytes, pages.pageBytes);
    this.#settings = settings;
    this.#pace = new Pace(settings.every, settings.mostPerSecond);
    this.#range = takeRange(below, this.#heapGuards(plan), pages.pageBytes);
    const { from, table } = this.#range;
    this.from = from;
    this.bytes = plan.bytes;
    this.areChosenBelow = table !== undefined;
    this.#stacks = new StackTable(settings.stackTraceFrames, table ? HEAP_FRAMES : 0);
    this.#atEnd = settings.place !== "start";
    const buffer = settings.faults ? source.buffer : undefined;
    try {
      this.#slots = new GuardSlots(source, pages, from, plan, table);
      this.faults = new GuardFaults(this.#slots, this.#stacks, buffer);
    } catch (error) {
      pages.unprotect(from, plan.bytes);
      this.#range.release();
      throw error;
    }
  }

  /** What a heap that chooses the allocations calls, from inside its own functions. */
  #heapGuards({ bytes, count }: SlotPlan): HeapGuards {
    const { seed } = this.#settings;
    const pace = this.#pace;
    const take = (size: number, alignment: number): number =>
      this.guard(take, Math.max(alignment, this.alignment), size);
    const freed = (ptr: number): void => this.free(freed, ptr);
    const misused = (ptr: number): void => void this.blockAt("realloc", misused, ptr);
    const sizeAt = (ptr: number): number => this.#slots.sizeAt(ptr);
    return {
      seed,
      bytes,
      count,
      get every() {
        return pace.every;
      },
      take,
      freed,
      misused,
      sizeAt,
    };
  }

  /** The least alignment of a guarded block. */
  get alignment(): number {
    return this.#settings.exact ? 1 : NATURAL;
  }

  /** A guarded block; 0 if it is too soon, or no slot is free for it. */
  guard(entry: Entry, alignment: number, size: number): number {
    const slot = this.#pace.isDue() ? this.#takeSlot(entry, alignment, size) : undefined;
    if (!slot) {
      this.#missed += 1;
      return 0;
    }
    if (this.#settings.place === "both") this.#atEnd = !this.#atEnd;
    this.#guarded += 1;
    slot.allocatedBy = this.#stacks.take(entry);
    return slot.ptr;
  }

  /** The live block that begins at ptr; reports any other pointer. */
  blockAt(call: string, entry: Entry, ptr: number): GuardSlot | undefined {
    const slot = this.#slots.slotAt(ptr);
    if (slot?.live && slot.ptr === ptr) return slot;
    const stack = this.#stacks.capture(entry);
    const closest = this.#slots.closest(ptr);
    this.#send([wrongPointer(this.#stacks, call, ptr, slot, closest, stack)]);
    return undefined;
  }

  free(entry: Entry, ptr: number): void {
    const slot = this.blockAt("free", entry, ptr);
    if (!slot) return;
    if (this.faults.pending) this.sendFaults(entry);
    slot.freedBy = this.#stacks.take(entry);
    const damage = this.#slots.free(slot);
    if (damage) this.#send([damagedBlock(this.#stacks, slot, damage, slot.freed)]);
  }

  /** Frees a block whose contents have moved, and that `checkBlock` has checked. */
  freeMoved(entry: Entry, slot: GuardSlot): void {
    slot.freedBy = this.#stacks.take(entry);
    this.#slots.free(slot);
  }

  /** Reports what was written beside a block. */
  checkBlock(entry: Entry, slot: GuardSlot): void {
    const damage = this.#slots.damage(slot);
    if (!damage) return;
    this.#send([damagedBlock(this.#stacks, slot, damage, this.#stacks.capture(entry))]);
  }

  /** Reports accesses that went through a guard, and writes beside live blocks. */
  check(entry: Entry): void {
    this.#takeRemoteFrees();
    this.sendFaults(entry);
    const stack = this.#stacks.capture(entry);
    const live = this.#slots.all.filter((slot) => slot.live);
    this.#send(live.flatMap((slot) => this.#damageOf(slot, stack)));
  }

  sendFaults(entry: Entry): void {
    this.#send(this.faults.read(entry));
  }

  stats(): Omit<GuardedStats, "bytes"> {
    this.#takeRemoteFrees();
    const { live: blocks, open } = this.#slots;
    return { blocks, open, guarded: this.#guarded, missed: this.#missed };
  }

  /** Gives the slots back to the allocator below, with the blocks in them. */
  destroy(): void {
    this.faults.destroy();
    this.#slots.destroy();
    this.#range.release();
  }

  #takeSlot(entry: Entry, alignment: number, size: number): GuardSlot | undefined {
    if (this.faults.pending) this.sendFaults(entry);
    this.#takeRemoteFrees();
    return this.#slots.take(size, alignment, this.#atEnd);
  }

  /** Takes the blocks that threads without these guards have freed. Their stacks are not known. */
  #takeRemoteFrees(): void {
    for (const slot of this.#slots.takeRemoteFrees()) {
      if (!slot.live) this.#send([doubleFree(this.#stacks, slot, 0)]);
      const damage = slot.live ? this.#slots.free(slot) : undefined;
      if (damage) this.#send([damagedBlock(this.#stacks, slot, damage, 0)]);
    }
  }

  #damageOf(slot: GuardSlot, stack: number): Report[] {
    const damage = this.#slots.damage(slot);
    return damage ? [damagedBlock(this.#stacks, slot, damage, stack)] : [];
  }

  #send(reports: readonly Report[]): void {
    sendReports(this.#settings.onReport, reports);
  }
}
