/** What the core exports: C's names first, then ours. */

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
} from "./aligned.ts";
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
} from "./alloc.ts";
export { heapBind } from "./backing.ts";
export { goodSize } from "./bins.ts";
export { memoryRefresh } from "./glue.ts";
export { heapAttach, heapCollect, heapInit } from "./heap.ts";
export { heapBacking, heapBound, heapDelete, heapDestroy, heapNew, heapOf } from "./heaps.ts";
export { purge, purgeSet } from "./purge.ts";
export {
  expand,
  realloc,
  reallocf,
  reallocn,
  reallocn as reallocarray,
  recalloc,
  rezalloc,
} from "./realloc.ts";
export { reserveGive, reserveMake } from "./reserve-make.ts";
export { sampleAlignment, sampleAnswer, sampleBegin } from "./sample.ts";
export { deferredFree, numaBind, watchBind } from "./state.ts";
export { strdup, strndup } from "./strings.ts";
export { heapLimit } from "./supply.ts";
export { watchLeft, watchSize, watchSkip } from "./watch.ts";
