/** What the end of the process does with heaps, if the process options say so. */
import { options } from "../common/log.ts";
import type { HeapStats } from "./stats/numbers.ts";
import { printStats } from "./stats/stats-table.ts";

interface EndingHeap {
  stats(): HeapStats;
  destroy(): void;
}

/** Weak references: a heap that the program has dropped is not kept alive. */
const heaps = new Set<WeakRef<EndingHeap>>();
const references = new WeakMap<object, WeakRef<EndingHeap>>();
let hooked = false;

/** For a heap that has just been made: the options decide when the end comes, not now. */
export function exitWatch(heap: EndingHeap): void {
  if (typeof process !== "object" || typeof process.once !== "function") return;
  const reference = new WeakRef(heap);
  heaps.add(reference);
  references.set(heap, reference);
  gone.register(heap, reference);
  if (hooked) return;
  hooked = true;
  process.once("exit", processEnds);
}

const gone = new FinalizationRegistry<WeakRef<EndingHeap>>((reference) => heaps.delete(reference));

/** For a heap that ends before the process does. */
export function exitForget(heap: EndingHeap): void {
  const reference = references.get(heap);
  if (reference) heaps.delete(reference);
}

function processEnds(): void {
  const alive = [...heaps]
    .map((reference) => reference.deref())
    .filter((heap) => heap !== undefined);
  for (const heap of alive) {
    if (options.isEnabled("showStats") || options.isEnabled("verbose")) printStats(heap.stats());
    if (options.isEnabled("destroyOnExit")) heap.destroy();
  }
}
