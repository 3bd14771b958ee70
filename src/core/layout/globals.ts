/**
 * The globals of an instance: the state and the heap that its calls work on. They are thread-local,
 * since each Worker has an instance of its own over the same memory.
 */

import * as L from "./layout.ts";

export let stateBase: usize = 0;
export let heapBase: usize = 0;
/** The heap's id, as D_OWNER holds it in a page without flags. */
export let heapId: u32 = 0;

/** The id of the thread that this instance is bound to; 0 in a heap that is not shared. */
export let threadId: u32 = 0;

export function threadBind(thread: u32): void {
  threadId = thread;
}

/**
 * Whether this thread of a shared state has made a sub-heap. Until then, a page that the bound heap
 * does not own belongs to another thread, and free need not read that heap's words.
 */
export let heapsMade: bool = false;

export function heapsMark(made: bool): void {
  heapsMade = made;
}

/** The NUMA node that this thread runs on; NODE_ANY = unknown. */
export let numaNode: u32 = 0xffffffff;

export function numaBind(node: u32): void {
  numaNode = node;
}

/** Whether the host wants to be called at intervals, on the generic path of malloc. */
export let deferredWanted: bool = false;

/** Sets this for this instance, so for this thread. */
export function deferredFree(wanted: bool): void {
  deferredWanted = wanted;
}

/** What is observed, as bits OBSERVE_*: see observe.ts. */
export let observing: u32 = 0;

/** heapId, or OBSERVED while every free is observed. */
export let freeId: u32 = 0;

/** Not the id of any heap. */
const OBSERVED: u32 = 0xffffffff;

export function stateBind(state: usize, heap: usize): void {
  stateBase = state;
  heapBase = heap;
  heapId = heap;
  freeId = (observing & L.OBSERVE_FREES) !== 0 ? OBSERVED : heap;
}

export function observeBind(what: u32): void {
  observing = what;
  stateBind(stateBase, heapBase);
}
