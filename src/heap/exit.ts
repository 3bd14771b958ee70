/** What the end of the process does with heaps, if the options say so. */
import { options } from "../common/log.ts";

interface EndingHeap {
  printStats(): void;
  destroy(): void;
}

/** Weak references: a heap that the program has dropped is not kept alive. */
const heaps = new Set<WeakRef<EndingHeap>>();
const places = new WeakMap<object, WeakRef<EndingHeap>>();
let hooked = false;

/** For a heap that has just been made: the options decide when the end comes, not now. */
export function exitWatch(heap: EndingHeap): void {
  if (typeof process !== "object" || typeof process.once !== "function") return;
  const place = new WeakRef(heap);
  heaps.add(place);
  places.set(heap, place);
  gone.register(heap, place);
  if (hooked) return;
  hooked = true;
  process.once("exit", processEnds);
}

const gone = new FinalizationRegistry<WeakRef<EndingHeap>>((place) => heaps.delete(place));

/** For a heap that ends before the process does. */
export function exitForget(heap: EndingHeap): void {
  const place = places.get(heap);
  if (place) heaps.delete(place);
}

function processEnds(): void {
  const alive = [...heaps].map((place) => place.deref()).filter((heap) => heap !== undefined);
  for (const heap of alive) {
    if (options.isEnabled("showStats") || options.isEnabled("verbose")) heap.printStats();
    if (options.isEnabled("destroyOnExit")) heap.destroy();
  }
}
