/** What the core exports: C's names first, then ours. */

export {
  memalign,
  memalign as aligned_alloc,
  memalignAt,
  posixMemalign as posix_memalign,
  reallocAligned,
  reallocAlignedAt,
} from "./aligned.ts";
export {
  calloc,
  contains,
  free,
  freeChecked,
  malloc,
  mallocn,
  pointerCheck,
  usableSize,
  usableSize as malloc_usable_size,
  zalloc,
} from "./alloc.ts";
export { goodSize } from "./bins.ts";
export { memoryRefresh } from "./glue.ts";
export { heapAttach, heapCollect, heapInit } from "./heap.ts";
export {
  expand,
  realloc,
  reallocf,
  reallocn,
  reallocn as reallocarray,
  recalloc,
  rezalloc,
} from "./realloc.ts";
export { strdup, strndup } from "./strings.ts";
