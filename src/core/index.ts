/** The exports of the core: C's names first, then ours. */

export {
  memalign,
  memalign as aligned_alloc,
  memalignAt,
  operatorNewAligned,
  posixMemalign as posix_memalign,
  reallocAligned,
  reallocAlignedAt,
  reallocarr,
  rezallocAlignedAt,
  zallocAlignedAt,
} from "./heap/aligned.ts";
export {
  calloc,
  contains,
  free,
  freeChecked,
  freeSize,
  freeSizeAligned,
  malloc,
  mallocn,
  operatorNew,
  pointerCheck,
  usableSize,
  usableSize as malloc_usable_size,
  zalloc,
} from "./heap/alloc.ts";
export { heapAttach, heapCollect, heapInit } from "./heap/heap.ts";
export { heapBacking, heapBound, heapDelete, heapDestroy, heapNew, heapOf } from "./heap/heaps.ts";
export { observeLeft, observeSize, observeSkip } from "./heap/observe.ts";
export {
  expand,
  realloc,
  reallocf,
  reallocn,
  reallocn as reallocarray,
  recalloc,
  rezalloc,
} from "./heap/realloc.ts";
export { strdup, strndup } from "./heap/strings.ts";
export { goodSize } from "./layout/bins.ts";
export { heapBind } from "./layout/bound-heap.ts";
export { deferredFree, numaBind, observeBind } from "./layout/globals.ts";
export { sampleAlignment, sampleBegin, sampleResult } from "./pages/sample.ts";
export { arenaGive, arenaMake } from "./slices/arena-make.ts";
export { purge, purgeSet } from "./slices/purge.ts";
export { heapLimit } from "./slices/supply.ts";
export { memoryRefresh } from "./target/glue.ts";
