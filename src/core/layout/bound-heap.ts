/** Which heap of this thread the instance works on: see heaps.ts. */
import { load32 } from "../target/glue.ts";
import { heapBase, stateBase, stateBind } from "./globals.ts";
import * as L from "./layout.ts";

/** Works on another heap of this thread from now on; answers the one before. */
export function heapBind(heap: usize): usize {
  const was: usize = heapBase;
  stateBind(stateBase, heap);
  return was;
}

/** Whether the bound heap is the one that takes over what others leave. */
export function heapIsBacking(): bool {
  return load32(heapBase, L.H_OF) === 0;
}

/** As heapBind, of the backing heap. */
export function backingBind(): usize {
  return heapBind(heapIsBacking() ? heapBase : load32(heapBase, L.H_OF));
}
