/**
 * What observes the allocations of a heap, as functions beside it: a program that does not import
 * them does not carry them.
 */

import { checkMembers } from "../common/kinds.ts";
import type { GuardsMemory, HeapGuards } from "../core/contract.ts";
import type { Heap } from "./heap.ts";
import type { StatsLevel } from "./stats/contract.ts";
import { resetCounts } from "./stats/counts.ts";
import { levelError, Observers } from "./stats/observers.ts";
import { createSampler, type Sampled, type SamplerOptions } from "./stats/sampler.ts";
import { resetTallies } from "./stats/tally.ts";

/**
 * Sets how much a heap counts: 0 = what costs nothing; 1 = also bytes and number of the blocks of
 * up to 64 KiB, of up to 16 MiB, and larger; 2 = also each size class, and the bytes that requests
 * asked for. Malloc and free of this thread take 14 times as long at 1 and 24 times at 2. Set while
 * blocks live, counting begins with these. Threads that attach to a shared heap later count as the
 * thread whose handle they have.
 *
 * @throws TypeError or RangeError for anything but 0, 1 and 2.
 * @example
 * const heap = createHeap();
 * setStatsLevel(heap, 1);
 * heap.malloc(100);
 * heap.stats().sizes.normal.bytes.current; // 112
 */
export function setStatsLevel(heap: Heap, level: StatsLevel): void {
  const observers = observersOf(heap);
  const error = levelError(level);
  if (error) throw error;
  observers.setLevel(level, true);
}

/** Forgets what a heap has counted: totals and peaks begin again with what is there now. */
export function resetStats(heap: Heap): void {
  checkHeap(heap);
  const { state, words, thread } = heap.internals.observed;
  resetTallies(words(), state);
  resetCounts(words(), state, thread() !== 0);
}

/**
 * Calls a function for a sample of this thread's allocations: of the bytes that are asked for every
 * `everyBytes`-th on average, 1 to 2^30, and for the blocks that they lie in. `bytes` is what the
 * sample stands for: added up, they are what was allocated. The function runs inside the allocation
 * and sees the stack that led to it; it may call the heap. Takes the place of the sampler before;
 * undefined: no more. docs/guide/profiling.md makes a profile of it.
 *
 * @throws TypeError or RangeError for wrong arguments.
 * @example
 * registerSampler(heap, 512 * 1024, (ptr, size, bytes) => sites.add(new Error().stack, bytes));
 * registerSampler(heap, undefined);
 */
export function registerSampler(heap: Heap, everyBytes: undefined): void;
export function registerSampler(
  heap: Heap,
  everyBytes: number,
  sampled: Sampled,
  options?: SamplerOptions,
): void;
export function registerSampler(
  heap: Heap,
  everyBytes: number | undefined,
  sampled?: Sampled,
  options: SamplerOptions = {},
): void {
  const observers = observersOf(heap);
  if (everyBytes === undefined) observers.listen(undefined);
  else observers.listen(createSampler(everyBytes, sampled as Sampled, options));
}

/**
 * Offers a sample of this thread's allocations to guards, which serve them with blocks of their own
 * in memory that the heap gives; `free` and the calls like it know these blocks, in every thread.
 * Undefined for a hardened heap, which has checks of its own, while there are guards already, and
 * when memory is out. `guarded` of terrane/debug stands on it.
 */
export function beginGuards(heap: Heap, guards: HeapGuards): GuardsMemory | undefined {
  return observersOf(heap).guard(guards);
}

/**
 * The observers of a heap. Every heap that threads share has them, since a thread can free a block
 * that another one guards.
 */
export function observersOf(heap: Heap): Observers {
  checkHeap(heap);
  const { events, observed } = heap.internals;
  events.observers ??= new Observers(observed);
  return events.observers as Observers;
}

/** @throws TypeError unless the value is a heap. */
export function checkHeap(heap: unknown): void {
  checkMembers("heap", "a heap of createHeap or attachHeap", heap, "backend", "internals");
}
