/**
 * The globals of an instance: which state and which heap its calls work on. They are the thread
 * locals of the design: each Worker has an instance of its own over the same memory.
 */

import * as L from "./layout.ts";

export let stateBase: usize = 0;
export let heapBase: usize = 0;
/** The heap's id, as it stands in D_OWNER of a page that needs no special care. */
export let heapId: u32 = 0;

/** The thread of the thread that this instance is; 0 in a heap that is not shared. */
export let threadId: u32 = 0;

export function threadBind(thread: u32): void {
  threadId = thread;
}

/**
 * Whether this thread of a shared state has made a heap beside its first: until then a page that is
 * not the bound heap's is another thread's, and no word of that thread's need be looked at.
 */
export let heapsMade: bool = false;

export function heapsMark(made: bool): void {
  heapsMade = made;
}

/** The NUMA node that this thread runs on; NODE_ANY = nobody knows. */
export let numaNode: u32 = 0xffffffff;

export function numaBind(node: u32): void {
  numaNode = node;
}

/** Whether the host wants to be called now and then: in the generic path of malloc. */
export let deferredWanted: bool = false;

/** Of this instance, so of this thread. */
export function deferredFree(wanted: bool): void {
  deferredWanted = wanted;
}

/** What is watched, as bits OBSERVE_*: see observe.ts. */
export let observing: u32 = 0;

/** heapId, or no heap's id while every free is watched. */
export let freeId: u32 = 0;

/** No heap has this id. */
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
