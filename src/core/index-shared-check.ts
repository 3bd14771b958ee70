/** The shared build with validity checks, for tests. */

export { heapIsValid } from "./heap/heap.ts";
export { lostCollect } from "./heap/threads.ts";
export * from "./index-shared.ts";
export { binOf, binSize } from "./layout/bins.ts";
export { pageCapacity, pageOf } from "./layout/desc.ts";
export { mediumIsValid } from "./pages/medium.ts";
export { pageIsValid } from "./pages/page.ts";
export { queueIsValid } from "./pages/queue.ts";
export { committedIsValid } from "./slices/commit.ts";
export { purgeTick } from "./slices/purge.ts";
export { slicesFreeCount, stateIsValid } from "./slices/slices-shared.ts";
export { slicesAlloc, slicesFree } from "./slices/supply.ts";
