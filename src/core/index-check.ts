/** The core with its validity walks, for tests; the product has none of them. */

export { binOf, binSize } from "./bins.ts";
export { committedIsValid } from "./commit.ts";
export { pageCapacity, pageOf } from "./desc.ts";
export { heapIsValid } from "./heap.ts";
export * from "./index.ts";
export { mediumIsValid } from "./medium.ts";
export { pageIsValid } from "./page.ts";
export { purgeTick } from "./purge.ts";
export { queueIsValid } from "./queue.ts";
export { arenaIsValid, spanBin } from "./slices.ts";
export { slicesAlloc, slicesFree } from "./supply.ts";
