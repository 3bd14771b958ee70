/** C's functions of a heap, beside it: a program that does not import them does not carry them. */

import { hasMembers } from "../common/kinds.ts";
import { abiOf, type HeapAbi } from "./calls/abi.ts";
import type { Heap } from "./heap.ts";
import { checkHeap, resetStats } from "./hooks.ts";
import { readProcessInfo } from "./stats/process-info.ts";
import { printStats } from "./stats/stats-table.ts";

/** An allocator that brings C's functions itself, as those of terrane/debug do. */
export interface AbiOwner<Abi extends object = HeapAbi> {
  /** C's functions, by name. */
  readonly abi: Abi;
}

/**
 * C's allocation functions of a heap, for the import object of a wasm module: libc, POSIX, BSD,
 * mimalloc (every name also with `mi_`) and C++'s operators. They check nothing that C would not.
 * Of an allocator that brings them itself, they are its `abi`.
 *
 * @throws TypeError for what is neither; HeapError once the heap has ended.
 * @example
 * const heap = createHeap();
 * new WebAssembly.Instance(module, { env: { memory: heap.memory, ...createAbi(heap) } });
 */
export function createAbi(heap: Heap): HeapAbi;
export function createAbi<Abi extends object>(allocator: AbiOwner<Abi>): Abi;
export function createAbi(allocator: Heap | AbiOwner): HeapAbi {
  if (hasMembers(allocator, "abi")) return (allocator as AbiOwner).abi;
  checkHeap(allocator);
  return abiOfHeap(allocator as Heap);
}

/** The functions of each heap, which are made once. */
const known = new WeakMap<Heap["internals"]["events"], HeapAbi>();

function abiOfHeap(heap: Heap): HeapAbi {
  const { events } = heap.internals;
  const abi = known.get(events) ?? makeAbi(heap);
  known.set(events, abi);
  return abi;
}

function makeAbi(heap: Heap): HeapAbi {
  const { core, events, arenas } = heap.internals;
  const statistics = {
    resetStats: () => resetStats(heap),
    printStats: () => printStats(heap.stats()),
    processInfo: () => readProcessInfo(heap.stats()),
  };
  return abiOf(core, heap.backend, { statistics, arenas, events });
}
