/** C's functions of a heap, beside it: a program that does not import them does not carry them. */

import { wrongKind } from "../common/errors.ts";
import { hasMembers, tagOf } from "../common/kinds.ts";
import { type OptionCheck, optionOf, optionsCheck } from "../common/option-table.ts";
import { type AbiOptions, abiOf, type HeapAbi } from "./calls/abi.ts";
import type { StatsSource } from "./calls/contract.ts";
import type { Heap } from "./heap.ts";
import { checkHeap, resetStats } from "./hooks.ts";
import { type PurgeSettings, purgeDefaults } from "./purge-settings.ts";
import { purgeOf } from "./setup.ts";
import { readProcessInfo } from "./stats/process-info.ts";
import { formatStats, printStats } from "./stats/stats-table.ts";
import { blocksVisit } from "./stats/walk.ts";

/** An allocator that brings C's functions itself, as those of terrane/debug do. */
export interface AbiOwner<Abi extends object = HeapAbi> {
  /** C's functions, by name. */
  readonly abi: Abi;
}

/**
 * C's allocation functions of a heap, for the import object of a wasm module: libc, POSIX, BSD,
 * mimalloc (every name also with `mi_`) and C++'s operators. They check nothing that C would not,
 * and return WASI's numbers of errno. Of an allocator that brings them itself, they are its `abi`.
 *
 * @throws TypeError for what is neither; HeapError once the heap has ended.
 * @example
 * const heap = createHeap();
 * new WebAssembly.Instance(module, { env: { memory: heap.memory, ...createAbi(heap) } });
 */
export function createAbi(heap: Heap, options?: AbiOptions): HeapAbi;
export function createAbi<Abi extends object>(allocator: AbiOwner<Abi>): Abi;
export function createAbi(allocator: Heap | AbiOwner, options?: AbiOptions): HeapAbi {
  if (options !== undefined) optionsCheck(abiChecks, options);
  if (hasMembers(allocator, "abi")) {
    if (options) throw new TypeError("createAbi: options are for heaps of createHeap");
    return (allocator as AbiOwner).abi;
  }
  checkHeap(allocator);
  return options ? makeAbi(allocator as Heap, options) : abiOfHeap(allocator as Heap);
}

const abiChecks: readonly OptionCheck[] = [
  { name: "errno", refuse: errnoError },
  optionOf("table", "a WebAssembly.Table or a function that returns one", (value) => {
    return typeof value === "function" || tagOf(value) === "WebAssembly.Table";
  }),
];

function errnoError(value: unknown): Error | undefined {
  if (typeof value !== "string") return wrongKind("errno", '"wasi" or "linux"', value);
  if (value === "wasi" || value === "linux") return undefined;
  return new RangeError(`errno must be "wasi" or "linux", not ${value}`);
}

/** The functions of each heap, which are made once. */
const known = new WeakMap<Heap["internals"]["events"], HeapAbi>();

function abiOfHeap(heap: Heap): HeapAbi {
  const { events } = heap.internals;
  const abi = known.get(events) ?? makeAbi(heap);
  known.set(events, abi);
  return abi;
}

function makeAbi(heap: Heap, options?: AbiOptions): HeapAbi {
  const { core, events, arenas, observed, threadDone } = heap.internals;
  const statistics: StatsSource = {
    stats: () => heap.stats(),
    statsText: () => formatStats(heap.stats()),
    visit: (id, areas, blocks) => {
      const owner = (each: number) => each === id;
      const of = { owner, areas, next: observed.next() };
      return blocksVisit(observed.words(), observed.state, blocks, of);
    },
    optionSet: (name) => {
      if (name in purgeDefaults) {
        const setting = name as keyof PurgeSettings;
        heap.purgeSettings({ [setting]: purgeOf({})[setting] });
      }
    },
    threadDone,
    resetStats: () => resetStats(heap),
    printStats: () => printStats(heap.stats()),
    processInfo: () => readProcessInfo(heap.stats()),
  };
  return abiOf(core, heap.backend, { statistics, arenas, events }, options);
}
