/** The shared build with its validity walks, for tests. */

export { binOf, binSize } from "./bins.ts";
export { pageOf } from "./desc.ts";
export { heapIsValid } from "./heap.ts";
export * from "./index-shared.ts";
export { mediumIsValid } from "./medium.ts";
export { pageCapacity, pageIsValid } from "./page.ts";
export { queueIsValid } from "./queue.ts";
export { arenaIsValid, slicesAlloc, slicesFree, slicesFreeCount } from "./slices-shared.ts";
export { lostCollect } from "./threads.ts";
