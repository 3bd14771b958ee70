/** The bound heap: the heap of this thread that the instance works on. See heaps.ts. */
import { load32 } from "../target/glue.ts";
import { heapBase, stateBase, stateBind } from "./globals.ts";
import * as L from "./layout.ts";

/** Works on another heap of this thread from now on; returns the heap that was bound before. */
export function heapBind(heap: usize): usize {
  const was: usize = heapBase;
  stateBind(stateBase, heap);
  return was;
}

/** Whether the bound heap is the backing heap, which takes over the pages of deleted heaps. */
export function heapIsBacking(): bool {
  return load32(heapBase, L.H_OF) === 0;
}

/** As heapBind, for the backing heap. */
export function backingBind(): usize {
  return heapBind(heapIsBacking() ? heapBase : load32(heapBase, L.H_OF));
}
