/** The shared build with its validity walks, for tests. */

export { binOf, binSize } from "./bins.ts";
export { committedIsValid } from "./commit.ts";
export { pageCapacity, pageOf } from "./desc.ts";
export { heapIsValid } from "./heap.ts";
export * from "./index-shared.ts";
export { mediumIsValid } from "./medium.ts";
export { pageIsValid } from "./page.ts";
export { purgeTick } from "./purge.ts";
export { queueIsValid } from "./queue.ts";
export { arenaIsValid, slicesFreeCount } from "./slices-shared.ts";
export { slicesAlloc, slicesFree } from "./supply.ts";
export { lostCollect } from "./threads.ts";
