/** Allocations that end at inaccessible pages: the typed door. */
import { checkAlignment, checkPointer, checkSize } from "../../common/checks.ts";
import { SIZE_LIMIT } from "../../common/errors.ts";
import type { HeapGuards } from "../../core/contract.ts";
import { AllocatorBase } from "../../layers/index.ts";
import {
  type Fault,
  type FaultWatch,
  type MemorySource,
  osPages,
  type PageOperations,
} from "../../memory/index.ts";
import {
  type Damage,
  doubleFree,
  interiorPointer,
  invalidFree,
  useAfterFree,
  writeBeforeStart,
  writePastEnd,
} from "../report/mistakes.ts";
import { MemoryMistake, type Report, sendReports } from "../report/report.ts";
import { type Entry, StackTable } from "../report/stack-table.ts";
import type { AllocatorLike } from "../store/backing.ts";
import { gapsOf } from "../store/sample.ts";
import {
  alignedBelow,
  type GuardedBelow,
  type GuardRoom,
  NATURAL,
  roomTake,
  sourceGuarding,
} from "./below.ts";
import type { Gate } from "./gate.ts";
import { type GuardedAbi, type GuardedCalls, gateOf, guardedAbi } from "./guarded-abi.ts";
import { guardHit, guardSomewhere, guardWild } from "./mistakes.ts";
import { type GuardedOptions, type GuardedSettings, guardedSettings } from "./options.ts";
import { Pace } from "./pace.ts";
import { type GuardSlot, GuardSlots, type SlotPlan, slotsPlan } from "./slots.ts";
import { isTrap, linesOfUser, watchOpen } from "./traps.ts";

export interface GuardedStats {
  /** Guarded blocks that are live. */
  blocks: number;
  /** Freed blocks that the system did not make inaccessible. */
  open: number;
  /** Allocations that were guarded. */
  guarded: number;
  /** Allocations whose turn it was, and that came too soon, found no slot, or fitted none. */
  missed: number;
  /** Bytes of memory that slots and guards take; most of them without physical memory. */
  bytes: number;
}

/**
 * An allocator that puts one block in so many beside an inaccessible page, and makes freed ones
 * inaccessible: an access beyond it from WebAssembly throws a RuntimeError at the very instruction,
 * which `explain` turns into a report. The other blocks are those of the allocator below, at nearly
 * no cost. For one thread, like its allocator's own object.
 *
 * An access from JavaScript to an inaccessible page ends the process, unless `faults` is set: then
 * it goes through, and is reported by the next call that looks.
 *
 * Algorithm: GWP-ASan (Serebryany et al., ICSE-SEIP 2024; LLVM), after Electric Fence (Perens).
 *
 * @example
 * if (osPages().available) {
 *   const heap = guarded(createHeap({ release: true }), { every: 1000 });
 *   heap.free(heap.malloc(100));
 *   heap.deinit();
 * }
 */
export class GuardedAllocator extends AllocatorBase implements AllocatorLike, Disposable {
  /**
   * C's functions for the import object of a wasm module. Over a heap that chooses the sample they
   * are all of the heap's own; elsewhere those in the interface, no others, so that a module cannot
   * free what only another function knows.
   */
  readonly abi: GuardedAbi;
  protected readonly backingMemory: { bytes(): Uint8Array; u32(): Uint32Array };
  readonly #below: GuardedBelow;
  readonly #settings: GuardedSettings;
  readonly #slots: GuardSlots;
  /** With a table where a heap has made it, and chooses the sample. */
  readonly #room: GuardRoom;
  readonly #stacks: StackTable;
  readonly #gap: () => number;
  readonly #pace: Pace;
  readonly #watch: FaultWatch | undefined;
  /** What WebAssembly calls; undefined where the functions below are not WebAssembly. */
  readonly #gate: Gate | undefined;
  /** Where the memory begins in the address space; it does not move, because it is guarded. */
  readonly #base: number;
  /** Faults that became errors which nobody has asked about yet. */
  #thrown: Fault[] = [];
  /** Allocations until the next that is guarded, itself included. */
  #turn: number;
  /** The slots' range, for the question that every free asks; none after deinit. */
  #from: number;
  #bytes: number;
  #atEnd = true;
  #guarded = 0;
  #missed = 0;

  /** Use guarded. */
  constructor(below: GuardedBelow, source: MemorySource, settings: GuardedSettings) {
    super();
    const pages = source.pages as PageOperations;
    const plan = slotsPlan(settings.slots, settings.slotBytes, pages.pageBytes);
    this.#below = below;
    this.#settings = settings;
    this.#pace = new Pace(settings.every, settings.mostPerSecond);
    this.#room = roomTake(below, this.#offer(plan), pages.pageBytes);
    const { from, table } = this.#room;
    const chooses = table !== undefined;
    this.#from = from;
    this.#bytes = plan.bytes;
    this.#stacks = new StackTable(settings.stackTraceFrames, chooses ? HEAP_FRAMES : 0);
    this.#gap = chooses ? () => Number.POSITIVE_INFINITY : gapsOf(settings.every, settings.seed);
    this.#turn = this.#gap() + 1;
    this.#atEnd = settings.place !== "start";
    const os = settings.faults ? osPages() : undefined;
    this.#base = os?.available ? os.addressOf(source.buffer) : 0;
    try {
      this.#slots = new GuardSlots(source, pages, from, plan, table);
      this.#watch = settings.faults ? watchOpen(this.#base + from, plan.bytes) : undefined;
    } catch (error) {
      pages.unprotect(from, plan.bytes);
      this.#room.give();
      throw error;
    }
    this.backingMemory = { bytes: () => below.u8, u32: () => below.u32 };
    this.#gate = chooses ? undefined : gateOf(below.abi, guardedAbi(this.#now()));
    this.#gate?.turn(this.#turn);
    this.#gate?.range(from, this.#bytes);
    const functions = chooses ? below.abi : this.#gate?.functions;
    this.abi = (functions as GuardedAbi | undefined) ?? guardedAbi(this);
  }

  /** What a heap calls, from inside its own functions. */
  #offer({ bytes, count }: SlotPlan): HeapGuards {
    const { seed } = this.#settings;
    const pace = this.#pace;
    const take = (size: number, alignment: number): number =>
      this.#guard(take, Math.max(alignment, this.#alignment()), size);
    const freed = (ptr: number): void => this.#freed(freed, ptr);
    const misused = (ptr: number): void => void this.#blockAt("realloc", misused, ptr);
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

  /** A block of at least `size` bytes, aligned to 16; 0 = out of memory. */
  malloc(size: number): number {
    if (--this.#turn > 0) return this.#below.malloc(size);
    checkSize(size, "size");
    return this.#guard(this.malloc, this.#alignment(), size) || this.#below.malloc(size);
  }

  /** A block of `count * size` zero bytes. */
  calloc(count: number, size: number): number {
    if (--this.#turn > 0) return this.#below.calloc(count, size);
    checkSize(count, "count");
    checkSize(size, "size");
    const bytes = Math.min(count * size, SIZE_LIMIT);
    const ptr = this.#guard(this.calloc, this.#alignment(), bytes);
    return ptr || this.#below.calloc(count, size);
  }

  /** A block whose address is a multiple of `alignment`, a power of two. */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    const turn = --this.#turn <= 0;
    const ptr = turn ? this.#guard(this.memalign, alignment, size) : 0;
    return ptr || alignedBelow(this.#below, alignment, size);
  }

  /**
   * Resizes a block, moving it if need be, and always if it is guarded; contents up to the smaller
   * size stay. A null pointer allocates. 0 = out of memory, and ptr is as it was.
   */
  realloc(ptr: number, size: number): number {
    if ((ptr - this.#from) >>> 0 >= this.#bytes) return this.#reallocBelow(ptr, size);
    checkPointer(ptr);
    checkSize(size, "size");
    const block = this.#blockAt("realloc", this.realloc, ptr);
    if (!block) return 0;
    const damage = this.#slots.damage(block);
    // Before anything has changed, since it may throw.
    if (damage) this.#tell([this.#damaged(block, damage, this.#stacks.capture(this.realloc))]);
    const to = this.malloc(size);
    if (to === 0) return 0;
    this.u8.copyWithin(to, ptr, ptr + Math.min(block.size, size));
    block.freedBy = this.#stacks.take(this.realloc);
    this.#slots.give(block);
    return to;
  }

  /** Frees a block; null is ignored. */
  free(ptr: number): void {
    if ((ptr - this.#from) >>> 0 >= this.#bytes) {
      this.#below.free(ptr);
      return;
    }
    checkPointer(ptr);
    this.#freed(this.free, ptr);
  }

  #freed(entry: Entry, ptr: number): void {
    const block = this.#blockAt("free", entry, ptr);
    if (block) this.#give(block, entry);
  }

  /** Bytes that the block at ptr can hold: of a guarded one, what was asked for. */
  usableSize(ptr: number): number {
    if ((ptr - this.#from) >>> 0 >= this.#bytes) return this.#below.usableSize(ptr);
    return this.#blockAt("usableSize", this.usableSize, ptr)?.size ?? 0;
  }

  /** Whether an address lies among the guarded blocks. */
  isGuarded(ptr: number): boolean {
    checkPointer(ptr);
    return (ptr - this.#from) >>> 0 < this.#bytes;
  }

  /**
   * What an error of WebAssembly was about: the report of the block that was missed, with the
   * stacks of its allocation, its free and the access. Undefined for any other error. Without
   * `faults` the address is not known, and the report names the blocks that it may have been.
   */
  explain(error: unknown): Report | undefined {
    if (!isTrap(error)) return undefined;
    const stack = this.#stacks.internText(linesOfUser(error), "");
    if (!this.#watch) return guardSomewhere(this.#stacks, this.#slots.recent(), stack);
    this.#faultsRead(this.explain);
    const fault = this.#thrown.at(-1);
    this.#thrown = [];
    return fault && this.#hit(fault, stack, "accessed");
  }

  /**
   * Calls fn. A RuntimeError that was at a guard is thrown as a MemoryMistake with its report, the
   * RuntimeError as its cause. Needs `faults`: without it errors stay as they are.
   */
  run<R>(fn: () => R): R {
    try {
      return fn();
    } catch (error) {
      const report = this.#watch && this.explain(error);
      if (!report) throw error;
      throw Object.assign(new MemoryMistake(report), { cause: error });
    }
  }

  /** Reports accesses that went through a guard, and what was written beside live blocks. */
  check(): void {
    this.#afarRead();
    this.#faultsRead(this.check);
    const damaged = this.#slots.all.filter((slot) => slot.live);
    const stack = this.#stacks.capture(this.check);
    this.#tell(damaged.flatMap((slot) => this.#damage(slot, stack)));
  }

  /** Figures as they are now. */
  stats(): GuardedStats {
    this.#afarRead();
    return {
      blocks: this.#slots.live,
      open: this.#slots.open,
      guarded: this.#guarded,
      missed: this.#missed,
      bytes: this.#bytes,
    };
  }

  /** check; then the slots go back to the allocator below, with all blocks that are in them. */
  deinit(): void {
    if (this.#bytes === 0) return;
    try {
      this.check();
    } finally {
      this.#turn = Number.POSITIVE_INFINITY;
      this.#watch?.destroy();
      this.#bytes = 0;
      this.#gate?.range(0, 0);
      this.#slots.end();
      this.#room.give();
    }
  }

  [Symbol.dispose](): void {
    this.deinit();
  }

  /** The memory for a wasm module's imports; undefined where there is none below. */
  get memory(): WebAssembly.Memory | undefined {
    return this.#below.memory;
  }

  #alignment(): number {
    return this.#settings.exact ? 1 : NATURAL;
  }

  /**
   * The calls that come through the gate: there the turn is over. It has a count of its own, which
   * is as random as this one's, since it does not matter how far the other is.
   */
  #now(): GuardedCalls {
    const turn = (call: () => number): number => {
      if (this.#bytes !== 0) this.#turn = 1;
      const ptr = call();
      this.#gate?.turn(this.#gap() + 1);
      return ptr;
    };
    const door = this;
    return {
      get u32() {
        return door.u32;
      },
      malloc: (size) => turn(() => this.malloc(size)),
      calloc: (count, size) => turn(() => this.calloc(count, size)),
      memalign: (alignment, size) => turn(() => this.memalign(alignment, size)),
      realloc: (p, size) => this.realloc(p, size),
      free: (p) => this.free(p),
      usableSize: (p) => this.usableSize(p),
    };
  }

  /** A guarded block; 0 = it is too soon, or no slot has room. */
  #guard(entry: Entry, alignment: number, size: number): number {
    this.#turn = this.#gap() + 1;
    const slot = this.#pace.isDue() ? this.#slotTake(entry, alignment, size) : undefined;
    if (!slot) {
      this.#missed += 1;
      return 0;
    }
    if (this.#settings.place === "both") this.#atEnd = !this.#atEnd;
    this.#guarded += 1;
    slot.allocatedBy = this.#stacks.take(entry);
    return slot.ptr;
  }

  #slotTake(entry: Entry, alignment: number, size: number): GuardSlot | undefined {
    if (this.#watch?.pending) this.#faultsRead(entry);
    this.#afarRead();
    return this.#slots.take(size, alignment, this.#atEnd);
  }

  #reallocBelow(ptr: number, size: number): number {
    return ptr === 0 ? this.malloc(size) : this.#below.realloc(ptr, size);
  }

  /** The live block that begins at ptr; any other pointer is reported. */
  #blockAt(call: string, entry: Entry, ptr: number): GuardSlot | undefined {
    const slot = this.#slots.slotAt(ptr);
    if (slot?.live && slot.ptr === ptr) return slot;
    const stack = this.#stacks.capture(entry);
    this.#tell([this.#wrong(call, ptr, slot, stack)]);
    return undefined;
  }

  #wrong(call: string, ptr: number, slot: GuardSlot | undefined, stack: number): Report {
    if (!slot?.ptr) return invalidFree(this.#stacks, call, ptr, this.#slots.missed(ptr), stack);
    if (slot.ptr !== ptr) return interiorPointer(this.#stacks, call, ptr, slot, stack);
    if (call !== "free") return useAfterFree(this.#stacks, call, slot, stack);
    return doubleFree(this.#stacks, slot, stack);
  }

  #give(slot: GuardSlot, entry: Entry): void {
    if (this.#watch?.pending) this.#faultsRead(entry);
    slot.freedBy = this.#stacks.take(entry);
    const damage = this.#slots.give(slot);
    if (damage) this.#tell([this.#damaged(slot, damage, slot.freed)]);
  }

  /** Blocks that threads without these guards have freed; who it was is not known. */
  #afarRead(): void {
    for (const slot of this.#slots.freedAfar()) {
      if (!slot.live) this.#tell([doubleFree(this.#stacks, slot, 0)]);
      const damage = slot.live ? this.#slots.give(slot) : undefined;
      if (damage) this.#tell([this.#damaged(slot, damage, 0)]);
    }
  }

  #damage(slot: GuardSlot, stack: number): Report[] {
    const damage = this.#slots.damage(slot);
    return damage ? [this.#damaged(slot, damage, stack)] : [];
  }

  #damaged(slot: GuardSlot, damage: Damage, stack: number): Report {
    const mistake = damage.at < slot.ptr ? writeBeforeStart : writePastEnd;
    return mistake(this.#stacks, slot, damage, stack);
  }

  /** Faults that went through are reported, and their pages closed; the others wait for explain. */
  #faultsRead(entry: Entry): void {
    const faults = this.#watch?.read() ?? [];
    this.#thrown.push(...faults.filter(({ thrown }) => thrown));
    const opened = faults.filter(({ thrown }) => !thrown);
    if (opened.length === 0) return;
    const stack = this.#stacks.capture(entry);
    const reports = opened.map((fault) => this.#hit(fault, stack, "found"));
    for (const { address } of opened) this.#slots.close(address - this.#base);
    this.#tell(reports);
  }

  #hit(fault: Fault, stack: number, found: "accessed" | "found"): Report {
    const address = fault.address - this.#base;
    const access = { address, write: fault.write, stack, found };
    const block = this.#slots.missed(address);
    return block ? guardHit(this.#stacks, block, access) : guardWild(this.#stacks, access);
  }

  #tell(reports: readonly Report[]): void {
    sendReports(this.#settings.onReport, reports);
  }
}

/** Frames of the heap that lie between its functions and the guards. */
const HEAP_FRAMES = 16;

/**
 * Guards a sample of an allocator's blocks, or all of them, by inaccessible pages.
 *
 * @throws TypeError or RangeError for unknown options and values out of range, for an allocator
 * whose memory nobody tells, and where pages cannot be made inaccessible: the message says why.
 * @example
 * if (osPages().available) {
 *   const heap = guarded(createHeap({ release: true }), { every: 1, slots: 256 });
 *   heap.deinit();
 * }
 */
export function guarded(allocator: GuardedBelow, options: GuardedOptions = {}): GuardedAllocator {
  const settings = guardedSettings(options);
  const source = options.source ?? allocator?.source;
  if (!source) throw new TypeError("guarded needs a heap, or an allocator and its source");
  return new GuardedAllocator(allocator, sourceGuarding(source), settings);
}
