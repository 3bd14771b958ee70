/**
 * What every door of the debug allocator comes down to: take the stack, do the work, tell what was
 * found. Arguments are checked by then.
 */
import { hex } from "../errors.ts";
import type { AllocatorLike, Backing } from "./backing.ts";
import type { Block } from "./block.ts";
import { Blocks } from "./blocks.ts";
import { exitAdd, exitRemove } from "./exit.ts";
import { alignmentMismatch, forgottenHandle, leak, sizeMismatch, wrongThread } from "./mistakes.ts";
import { ownThreadId, type Settings } from "./options.ts";
import { type Report, reportsTell, reportsTellAside } from "./report.ts";
import { gapsOf } from "./sample.ts";
import { type Entry, StackTable } from "./sites.ts";
import { detectors } from "./switches.ts";
import { Owner } from "./threads.ts";

/** What a caller says of a block that it gives back. */
export interface Given {
  readonly size: number;
  readonly alignment?: number;
}

/** A handle's block, with the order that tells it from its successors. */
export interface Held {
  readonly ptr: number;
  readonly order: number;
}

/** What enter answers to a thread that may not. */
const REFUSED = -1;

export class Calls {
  /** Allocations that go by before the next that is guarded; always 0 without sampling. */
  skip = 0;
  /** Who serves those that go by. */
  readonly plain: AllocatorLike;
  readonly backing: Backing;
  readonly blocks: Blocks;
  readonly stacks: StackTable;
  readonly #settings: Settings;
  readonly #sampling: boolean;
  readonly #gap: () => number;
  /** Undefined when no call could come from another thread: nobody said how to tell. */
  readonly #owner: Owner | undefined;
  readonly #created: number;

  constructor(backing: Backing, settings: Settings, entry: Entry) {
    const { stackTraceFrames, sampleEvery, seed, threadId, threadState } = settings;
    this.backing = backing;
    this.plain = backing.plain;
    this.stacks = new StackTable(stackTraceFrames);
    this.blocks = new Blocks(backing, settings, this.stacks);
    this.#settings = settings;
    this.#sampling = sampleEvery > 1;
    this.#gap = gapsOf(sampleEvery, seed);
    this.skip = this.#gap();
    const told = threadId !== ownThreadId || threadState !== undefined;
    this.#owner = told ? new Owner(threadId, threadState) : undefined;
    this.#created = this.stacks.capture(entry);
  }

  /** A guarded block of `size` bytes; 0 = out of memory. */
  allocate(call: string, entry: Entry, alignment: number, size: number, zero = false): number {
    const stack = this.#enter(call, entry);
    if (stack === REFUSED) return 0;
    if (this.blocks.live === 0 && this.#settings.reportAtExit) exitAdd(this);
    const ptr = this.blocks.allocate(alignment, size, stack);
    if (ptr !== 0 && zero) this.backing.u8.fill(0, ptr, ptr + size);
    this.skip = this.#gap();
    this.#settings.log?.(`${call} ${size} -> ${hex(ptr)}`);
    this.#tell();
    return ptr;
  }

  /** A block that is guarded if it is its turn. */
  malloc(call: string, entry: Entry, size: number, zero = false): number {
    if (this.skip === 0) return this.allocate(call, entry, 16, size, zero);
    this.skip--;
    return zero ? this.plain.calloc(1, size) : this.plain.malloc(size);
  }

  memalign(call: string, entry: Entry, alignment: number, size: number): number {
    const { plain, skip } = this;
    if (skip === 0 || !plain.memalign) return this.allocate(call, entry, alignment, size);
    this.skip--;
    return plain.memalign(alignment, size);
  }

  free(call: string, entry: Entry, ptr: number, given?: Given): void {
    if (ptr === 0) return;
    if (this.#isUnguarded(ptr)) {
      this.plain.free(ptr);
      return;
    }
    const stack = this.#enter(call, entry);
    if (stack === REFUSED) return;
    const block = this.#block(call, ptr, stack);
    this.#settings.log?.(`${call} ${hex(ptr)}${block ? ` of ${block.size}` : ""}`);
    if (block) {
      this.#compare(call, block, given, stack);
      this.blocks.free(block, stack);
    }
    this.#tell();
  }

  resize(call: string, entry: Entry, ptr: number, size: number, given?: Given): number {
    if (ptr === 0) return this.malloc(call, entry, size);
    if (this.#isUnguarded(ptr)) return this.plain.realloc(ptr, size);
    const stack = this.#enter(call, entry);
    if (stack === REFUSED) return 0;
    const block = this.#block(call, ptr, stack);
    if (block) this.#compare(call, block, given, stack);
    const to = block ? this.#resize(block, size, stack) : 0;
    this.#settings.log?.(`${call} ${hex(ptr)} to ${size} -> ${hex(to)}`);
    this.#tell();
    return to;
  }

  /** Bytes that a block was asked for with. Takes a stack only to complain. */
  usable(call: string, entry: Entry, ptr: number): number {
    if (ptr === 0) return 0;
    const found = this.blocks.table.at(ptr);
    if (found?.live && found.ptr === ptr) return found.size;
    if (this.#isUnguarded(ptr)) return this.plain.usableSize(ptr);
    const stack = this.#enter(call, entry);
    if (stack !== REFUSED) this.#block(call, ptr, stack);
    this.#tell();
    return 0;
  }

  contains(ptr: number): boolean {
    if (this.blocks.table.covering(ptr)) return true;
    return this.#sampling && this.plain.contains?.(ptr) === true;
  }

  /** Looks for damage, and for leaks if wanted; answers how many blocks leak. */
  inspect(call: string, entry: Entry, leaks: boolean): number {
    const stack = this.#enter(call, entry);
    if (stack === REFUSED) return 0;
    this.blocks.check(stack);
    const count = leaks ? this.#leaksFind() : 0;
    this.#tell();
    return count;
  }

  /** Tells of damage and leaks once everything has been given back. */
  deinit(entry: Entry): number {
    const stack = this.#enter("deinit", entry);
    if (stack === REFUSED) return 0;
    this.blocks.check(stack);
    const count = this.#leaksFind();
    this.blocks.clear();
    exitRemove(this);
    this.#owner?.leave();
    this.#tell();
    return count;
  }

  /** A handle was collected: its block should have been freed. */
  forgotten({ ptr, order }: Held): void {
    const block = this.blocks.table.at(ptr);
    if (!detectors.forgottenHandle || !block?.live || block.order !== order) return;
    reportsTellAside(this.#settings.onReport, [forgottenHandle(this.stacks, block)]);
  }

  exit(): void {
    this.blocks.check(0);
    this.#leaksFind();
    reportsTellAside(this.#settings.onReport, this.blocks.watch.reports.splice(0));
  }

  /** The stack of a call, or REFUSED for one by a thread that may not. */
  #enter(call: string, entry: Entry): number {
    const stack = this.stacks.capture(entry);
    const stranger = detectors.wrongThread ? this.#owner?.stranger() : undefined;
    if (!stranger) return stack;
    const report = wrongThread(this.stacks, call, stranger, this.#created, stack);
    reportsTell(this.#settings.onReport, [report]);
    return REFUSED;
  }

  #tell(): void {
    const { reports } = this.blocks.watch;
    if (reports.length > 0) reportsTell(this.#settings.onReport, reports.splice(0));
  }

  /** Neighbours of a guarded block can be plain ones: then only the table knows. */
  #isUnguarded(ptr: number): boolean {
    return this.#sampling && !this.blocks.table.covering(ptr);
  }

  /** A block that must move is a new one: when sampling, it is guarded only if it is its turn. */
  #resize(block: Block, size: number, stack: number): number {
    if (this.skip === 0 || this.blocks.fits(block, size)) {
      return this.blocks.resize(block, size, stack);
    }
    const { plain, backing } = this;
    const { ptr, alignment, size: before } = block;
    if (alignment > 16 && !plain.memalign) return this.blocks.resize(block, size, stack);
    const to = alignment > 16 ? (plain.memalign?.(alignment, size) ?? 0) : plain.malloc(size);
    if (to === 0) return 0;
    this.skip--;
    backing.u8.copyWithin(to, ptr, ptr + Math.min(before, size));
    this.blocks.free(block, stack);
    return to;
  }

  /** The live block at ptr; complains if there is none. */
  #block(call: string, ptr: number, stack: number): Block | undefined {
    const { table, retired, watch } = this.blocks;
    const block = table.at(ptr);
    if (block?.live && block.ptr === ptr) return block;
    watch.refuse(call, ptr, stack, table, retired);
    return undefined;
  }

  /** What the caller says of the block against what it was asked for with; the block counts. */
  #compare(call: string, block: Block, given: Given | undefined, stack: number): void {
    if (!given) return;
    const { size, alignment } = given;
    const { reports } = this.blocks.watch;
    if (size !== block.size && detectors.sizeMismatch) {
      reports.push(sizeMismatch(this.stacks, call, block, size, stack));
    }
    if (alignment !== undefined && alignment !== block.alignment && detectors.alignmentMismatch) {
      reports.push(alignmentMismatch(this.stacks, call, block, alignment, stack));
    }
  }

  #leaksFind(): number {
    const groups = this.blocks.leaks();
    if (groups.length === 0) return 0;
    const report: Report = leak(this.stacks, groups);
    this.blocks.watch.reports.push(report);
    return groups.reduce((sum, { ptrs }) => sum + ptrs.length, 0);
  }
}
