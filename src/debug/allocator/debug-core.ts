/**
 * What every call of a debug allocator comes down to: take the stack, do the work, report what was
 * found. Arguments are checked by then.
 */

import { ENOMEM } from "../../common/errno.ts";
import { heapDestroyed, hex } from "../../common/errors.ts";
import { errorText } from "../../common/log-messages.ts";
import type { ErrorHandler } from "../../heap/backend.ts";
import { forgottenHandle, heapDamaged, leak, wrongThread } from "../report/mistakes.ts";
import { type Report, sendReports, sendReportsUncaught } from "../report/report.ts";
import { type Entry, type Stacks, StackTable } from "../report/stack-table.ts";
import { isTrap, type WatchedBacking } from "../store/backing-damage.ts";
import { alignmentOf, type Block, MAIN_HEAP, NATURAL } from "../store/block.ts";
import type { BlockStore } from "../store/block-store.ts";
import { Blocks } from "../store/blocks.ts";
import { ownThreadId, type Settings } from "../store/options.ts";
import type { Change, Given, Request } from "../store/request.ts";
import { gapsOf } from "../store/sample.ts";
import { SharedBlocks } from "../store/shared-blocks.ts";
import { SharedStacks } from "../store/shared-stacks.ts";
import type { SharedState } from "../store/shared-state.ts";
import { Unsampled } from "../store/unsampled.ts";
import type { CallSite } from "./call-site.ts";
import { compareGiven } from "./compare.ts";
import { Deferred } from "./deferred.ts";
import { exitAdd, exitCodeSet, exitRemove } from "./exit.ts";
import { HeapIds } from "./ids.ts";
import { Owner } from "./threads.ts";

/** A handle's block, with the order that tells it from its successors. */
interface Held {
  readonly ptr: number;
  readonly order: number;
}

/** What enter returns for a thread that may not use the allocator. */
const REFUSED = -1;

export class DebugCore {
  /** Allocations that are not guarded before the next that is; always 0 without sampling. */
  skip = 0;
  /** Serves those that are not guarded. */
  readonly unsampled: Unsampled;
  readonly backing: WatchedBacking;
  readonly blocks: BlockStore;
  readonly stacks: Stacks;
  /** What C++'s new calls when memory is out. */
  newHandler: (() => void) | undefined;
  /** Called for every request that fails. */
  onError: ErrorHandler | undefined;
  readonly deferred = new Deferred();
  /** The heaps by their ids, and the one of calls that name none. */
  readonly heaps: HeapIds;
  readonly #handles = new FinalizationRegistry<Held>((held) => this.#forgotten(held));
  readonly #settings: Settings;
  #sampling: boolean;
  /** Every later call throws. */
  #ended = false;
  readonly #gap: () => number;
  /** Undefined unless the options say how to tell threads apart. */
  readonly #owner: Owner | undefined;
  readonly #created: number;
  /** The stack of the call that is at work, or of the last one. */
  #now = 0;
  /** What a damaged allocator below threw; reported when the call is over. */
  #damage: unknown;

  /** @param state What threads share, if they do. */
  constructor(backing: WatchedBacking, settings: Settings, entry: Entry, state?: SharedState) {
    const { stackTraceFrames, sampleEvery, seed, threadId, threadState } = settings;
    this.backing = backing;
    backing.onDamage = (error) => {
      this.skip = 0; // all new blocks are guarded
      this.#damage = error;
    };
    this.unsampled = new Unsampled(backing);
    if (state) {
      const stacks = new SharedStacks(state, stackTraceFrames, threadId());
      this.stacks = stacks;
      this.blocks = new SharedBlocks(backing, settings, stacks, state);
      this.heaps = new HeapIds(() => state.heap());
    } else {
      this.stacks = new StackTable(stackTraceFrames);
      this.blocks = new Blocks(backing, settings, this.stacks);
      this.heaps = new HeapIds();
    }
    this.#settings = settings;
    this.#sampling = sampleEvery > 1;
    this.#gap = gapsOf(sampleEvery, seed);
    this.skip = this.#gap();
    const told = !state && (threadId !== ownThreadId || threadState !== undefined);
    this.#owner = told ? new Owner(threadId, threadState) : undefined;
    this.#created = this.stacks.capture(entry);
    // Of the threads that share an allocator, its maker looks for leaks at the end.
    if (state && settings.reportAtExit && this.blocks.isMaker) exitAdd(this);
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  /** @throws HeapError ERR_HEAP_DESTROYED once the allocator has ended. */
  checkLive(): void {
    if (this.#ended) throw heapDestroyed();
  }

  /** A guarded block; 0 = out of memory. `taken`: the stack, if the caller has it. */
  allocate(site: CallSite, { size, align, zero }: Request, taken?: number): number {
    const stack = this.#enter(site, taken);
    if (stack === REFUSED) return 0;
    this.deferred.beat();
    if (this.#isFirst()) exitAdd(this);
    const heap = this.heaps.of(site.heap);
    const ptr = this.deferred.attempt(() =>
      this.blocks.allocate(size, align ?? NATURAL, heap, stack),
    );
    if (ptr === 0) this.onError?.(ENOMEM, size, errorText(ENOMEM, size));
    else if (zero) this.backing.u8.fill(0, ptr, ptr + size);
    this.skip = this.#skipNext();
    this.#settings.log?.(`${site.call} ${size} -> ${hex(ptr)}`);
    this.#report();
    return ptr;
  }

  /** A block, guarded if it is its turn, or if the allocator below cannot align it as asked. */
  request(site: CallSite, request: Request): number {
    if (this.skip === 0 || !this.#mayPass(site, request)) return this.allocate(site, request);
    this.skip--;
    const ptr = this.unsampled.get(request);
    return ptr === 0 && this.backing.isDamaged ? this.allocate(site, request) : ptr;
  }

  /** Frees a block, whether it is guarded or not; null is ignored. */
  free(site: CallSite, ptr: number, given?: Given): void {
    if (ptr === 0) return;
    if (this.isUnguarded(ptr)) this.freeUnguarded(site, ptr);
    else this.freeGuarded(site, ptr, given);
  }

  /** Does without an allocator below that is damaged. @throws `error` if it is another mistake. */
  refuseDamaged(error: unknown, { entry }: CallSite): void {
    if (!isTrap(error)) throw error;
    this.backing.damaged(error);
    this.#reportDamage(entry);
  }

  freeUnguarded(site: CallSite, ptr: number): void {
    this.unsampled.free(ptr);
    this.#reportDamage(site.entry);
  }

  /** Ends the allocator below, at the end of this one. */
  endBacking(site: CallSite): void {
    this.unsampled.destroy();
    this.#reportDamage(site.entry);
  }

  /** `taken`: the stack, if the caller has it. */
  freeGuarded(site: CallSite, ptr: number, given?: Given, taken?: number): void {
    const stack = this.#enter(site, taken);
    if (stack === REFUSED) return;
    const block = this.#block(site.call, ptr, stack);
    this.#settings.log?.(`${site.call} ${hex(ptr)}${block ? ` of ${block.size}` : ""}`);
    if (block) this.#free(site, block, given, stack);
    this.#report();
  }

  #free(site: CallSite, block: Block, given: Given | undefined, stack: number): void {
    const { ptr } = block;
    this.#compare(site.call, block, given, stack);
    if (this.blocks.free(block, stack)) return;
    this.blocks.checks.rejectPointer(site.call, ptr, stack, this.blocks.table, this.blocks.history);
  }

  /** Where the block is afterwards; 0, and it is as it was, when that cannot be. */
  resize(site: CallSite, ptr: number, change: Change): number {
    const { size, given, stay } = change;
    if (ptr === 0) return this.request(site, change);
    if (this.isUnguarded(ptr)) return this.#unguardedResize(site, ptr, change);
    const stack = this.#enter(site);
    if (stack === REFUSED) return 0;
    const block = this.#block(site.call, ptr, stack);
    if (block) this.#compare(site.call, block, given, stack);
    const to = block ? this.#resize(site, block, change, stack) : 0;
    this.#settings.log?.(`${site.call} ${hex(ptr)} to ${size} -> ${hex(to)}`);
    if (to === 0 && block && !stay) this.onError?.(ENOMEM, size, errorText(ENOMEM, size));
    this.#report();
    return to;
  }

  /** Bytes that a block was asked for with. Takes a stack only for a report. */
  usable(site: CallSite, ptr: number): number {
    if (ptr === 0) return 0;
    const found = this.blocks.table.at(ptr);
    if (found?.live && found.ptr === ptr) return found.size;
    if (this.isUnguarded(ptr)) return this.unsampled.usableSize(ptr);
    const stack = this.#enter(site);
    if (stack !== REFUSED) this.#block(site.call, ptr, stack);
    this.#report();
    return 0;
  }

  /** Whether an address lies in a block, live or free. */
  contains(ptr: number): boolean {
    this.checkLive();
    if (this.blocks.table.covering(ptr)) return true;
    return this.#sampling && this.unsampled.contains(ptr);
  }

  /** Whether a live block, guarded or not, begins at ptr. */
  isLive(ptr: number): boolean {
    const found = this.blocks.table.at(ptr);
    return found ? found.live && found.ptr === ptr : this.isUnguarded(ptr);
  }

  /** Looks for damage, and for leaks if wanted; returns how many blocks leak. */
  inspect(site: CallSite, leaks: boolean): number {
    const stack = this.#enter(site);
    if (stack === REFUSED) return 0;
    this.blocks.check(stack);
    const count = leaks ? this.#leaksFind() : 0;
    this.#report();
    return count;
  }

  /** Gives back what quarantine holds, and pages without live blocks. */
  collect(site: CallSite): void {
    const stack = this.#enter(site);
    if (stack === REFUSED) return;
    this.blocks.collect(stack);
    if (this.backing.usesBelow || this.#sampling) this.unsampled.collect();
    this.#report();
  }

  /** The heap whose live block an address lies in; 0 if there is none. */
  heapOf(ptr: number): number {
    const block = this.blocks.table.covering(ptr);
    const inside = block?.live && ptr >= block.ptr && ptr < block.ptr + Math.max(block.size, 1);
    return inside ? block.heap : 0;
  }

  /** Makes a heap that of calls which name none; returns the one before. */
  heapDefault(heap: number): number {
    const before = this.heaps.default;
    this.heaps.default = this.heaps.of(heap);
    this.skip = this.#skipNext();
    return before;
  }

  /** Ends a heap; its blocks are the first heap's then. */
  heapDelete(heap: number): void {
    if (!this.heaps.end(heap)) return;
    for (const block of this.blocks.of(heap)) block.heap = MAIN_HEAP;
  }

  /** Ends a heap and frees all its blocks, as of one call. */
  heapDestroy(site: CallSite, heap: number): void {
    const stack = this.#enter(site);
    if (stack === REFUSED || !this.heaps.end(heap)) return;
    for (const block of this.blocks.of(heap)) this.blocks.free(block, stack);
    this.#report();
  }

  /**
   * Reports damage and leaks, gives everything back, and ends: every later call throws. Returns how
   * many blocks leaked; undefined for a thread that may not end it, and then it goes on.
   */
  end(site: CallSite): number | undefined {
    const stack = this.#enter(site);
    if (stack === REFUSED) return undefined;
    this.blocks.check(stack, this.blocks.isMaker);
    const count = this.blocks.isMaker ? this.#leaksFind() : 0;
    this.blocks.clear();
    this.heaps.endAll();
    exitRemove(this);
    this.#owner?.leave();
    this.#ended = true;
    this.#sampling = false;
    this.skip = 0;
    this.stacks.leave?.();
    this.#report();
    return count;
  }

  /** Makes a handle the owner of a block; reports when there is no block. */
  track(site: CallSite, handle: object, ptr: number): void {
    const block = this.blocks.table.at(ptr);
    if (block?.live && block.ptr === ptr) {
      this.#handles.register(handle, { ptr, order: block.order });
    } else {
      this.usable(site, ptr);
    }
  }

  /** A handle was collected: its block should have been freed. */
  #forgotten({ ptr, order }: Held): void {
    const block = this.blocks.table.at(ptr);
    if (!this.#settings.detectors.forgottenHandle || !block?.live || block.order !== order) return;
    sendReportsUncaught(this.#settings.onReport, [forgottenHandle(this.stacks, block)]);
  }

  /** When the process ends. */
  exit(): void {
    this.blocks.check(0);
    if (this.blocks.isMaker) this.#leaksFind();
    const reports = this.blocks.checks.reports.splice(0);
    if (reports.length > 0) exitCodeSet(this.#settings.exitCode);
    sendReportsUncaught(this.#settings.onReport, reports);
  }

  /** Whether the exit of the process must look for leaks from now on. */
  #isFirst(): boolean {
    const { live, isMaker } = this.blocks;
    return live === 0 && isMaker && this.#settings.reportAtExit;
  }

  /** The stack of a call, or REFUSED for one by a thread that may not use the allocator. */
  #enter({ call, entry }: CallSite, taken?: number): number {
    this.checkLive();
    const stack = taken ?? this.stacks.capture(entry);
    const stranger = this.#settings.detectors.wrongThread ? this.#owner?.stranger() : undefined;
    const used = this.#owner?.hasUsed ? this.#now : 0;
    if (!stranger) {
      this.#now = stack;
      return stack;
    }
    const report = wrongThread(this.stacks, call, { ...stranger, used }, this.#created, stack);
    if (this.#settings.onReport === "print") exitCodeSet(this.#settings.exitCode);
    sendReports(this.#settings.onReport, [report]);
    return REFUSED;
  }

  /** Reports damage that a call found which takes no stack otherwise. */
  #reportDamage(entry: Entry): void {
    if (this.#damage === undefined) return;
    this.#now = this.stacks.capture(entry);
    this.#report();
  }

  #report(): void {
    const { reports } = this.blocks.checks;
    if (this.#damage !== undefined) reports.push(heapDamaged(this.stacks, this.#damage, this.#now));
    this.#damage = undefined;
    if (reports.length === 0) return;
    const { onReport, exitCode } = this.#settings;
    if (onReport === "print") exitCodeSet(exitCode);
    sendReports(onReport, reports.splice(0));
  }

  /** Neighbours of a guarded block can be unguarded ones: then only the table knows. */
  isUnguarded(ptr: number): boolean {
    return this.#sampling && !this.blocks.table.covering(ptr);
  }

  /** Blocks of a heap beside the first are all guarded: the allocator below knows no such heaps. */
  #mayPass(site: CallSite, request: Request): boolean {
    return this.heaps.of(site.heap) === MAIN_HEAP && this.unsampled.has(request);
  }

  #skipNext(): number {
    if (this.backing.isDamaged) return 0;
    return this.heaps.default === MAIN_HEAP ? this.#gap() : 0;
  }

  /** A block that the allocator below cannot align as asked becomes a guarded one. */
  #unguardedResize(site: CallSite, ptr: number, change: Change): number {
    if (this.backing.isDamaged) return 0;
    if (change.stay || this.unsampled.has(change)) {
      const moved = this.unsampled.resize(ptr, change);
      this.#reportDamage(site.entry);
      return moved;
    }
    const to = this.allocate(site, change);
    if (to === 0) return 0;
    this.backing.u8.copyWithin(
      to,
      ptr,
      ptr + Math.min(this.unsampled.usableSize(ptr), change.size),
    );
    this.unsampled.free(ptr);
    return to;
  }

  #resize(site: CallSite, block: Block, change: Change, stack: number): number {
    const { size: before } = block;
    const { size, zero, stay } = change;
    if (stay) return this.blocks.expand(block, size, stack);
    const to = this.#isMovingOut(site, block, change)
      ? this.#moveOut(block, change, stack)
      : this.deferred.attempt(() =>
          this.blocks.resize(block, change, this.heaps.of(site.heap), stack),
        );
    if (zero && to !== 0 && size > before) this.backing.u8.fill(0, to + before, to + size);
    return to;
  }

  /** A block that must move is a new one: when sampling, it is guarded only if it is its turn. */
  #isMovingOut(site: CallSite, block: Block, change: Change): boolean {
    if (this.skip === 0 || this.blocks.fits(block, change)) return false;
    return this.#mayPass(site, this.#moved(block, change));
  }

  #moveOut(block: Block, change: Change, stack: number): number {
    const { ptr, size: before } = block;
    const to = this.unsampled.get(this.#moved(block, change));
    if (to === 0) return 0;
    this.skip--;
    this.backing.u8.copyWithin(to, ptr, ptr + Math.min(before, change.size));
    this.blocks.free(block, stack);
    return to;
  }

  #moved(block: Block, { size, align }: Change): Request {
    return { size, align: align ?? (block.alignment > 16 ? alignmentOf(block) : undefined) };
  }

  /** The live block at ptr; reports if there is none. */
  #block(call: string, ptr: number, stack: number): Block | undefined {
    const { table, history, checks } = this.blocks;
    const block = table.at(ptr);
    if (block?.live && block.ptr === ptr) return block;
    checks.rejectPointer(call, ptr, stack, table, history);
    return undefined;
  }

  /** Compares what the caller says of a block with what it was asked for with. */
  #compare(call: string, block: Block, given: Given | undefined, stack: number): void {
    if (!given) return;
    const { detectors } = this.#settings;
    const found = compareGiven(this.stacks, { call, block, given, stack }, detectors);
    this.blocks.checks.reports.push(...found);
  }

  #leaksFind(): number {
    const groups = this.blocks.leaks();
    if (groups.length === 0) return 0;
    const report: Report = leak(this.stacks, groups);
    this.blocks.checks.reports.push(report);
    return groups.reduce((sum, { ptrs }) => sum + ptrs.length, 0);
  }
}
