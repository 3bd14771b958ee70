/** The core with validity checks, for tests. The product has none of them. */

export { heapIsValid } from "./heap/heap.ts";
export * from "./index.ts";
export { binOf, binSize } from "./layout/bins.ts";
export { pageCapacity, pageOf } from "./layout/desc.ts";
export { mediumIsValid } from "./pages/medium.ts";
export { pageIsValid } from "./pages/page.ts";
export { queueIsValid } from "./pages/queue.ts";
export { committedIsValid } from "./slices/commit.ts";
export { purgeTick } from "./slices/purge.ts";
export { spanBin, stateIsValid } from "./slices/slices.ts";
export { slicesAlloc, slicesFree } from "./slices/supply.ts";
