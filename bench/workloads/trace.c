/*
 * Replays the trace of a real program. An operation is four words {kind, slot, a, b}:
 *   0 malloc    a bytes
 *   1 calloc    a times b bytes
 *   2 memalign  alignment a, b bytes
 *   3 realloc   to a bytes; b is 1 where the old block has no word to keep: none, or under 4 bytes
 *   4 free      a is 1 where the block is smaller than a word
 * The word at a block's start is written and read wherever the block has one.
 */
#include "workload.h"

enum { MALLOC, CALLOC, MEMALIGN, REALLOC, FREE, WORD = 4 };

static inline u32 call(u32 kind, u32 block, u32 a, u32 b) {
  switch (kind) {
    case MALLOC: return heap_malloc(a);
    case CALLOC: return heap_calloc(a, b);
    case MEMALIGN: return heap_memalign(a, b);
    case REALLOC: return heap_realloc(block, a);
    default: heap_free(block); return 0;
  }
}

static inline u32 size_of(u32 kind, u32 a, u32 b) {
  switch (kind) {
    case CALLOC: return a * b;
    case MEMALIGN: return b;
    case FREE: return 0;
    default: return a;
  }
}

static inline u32 replay(u32 op, u32 slots, u32 mark) {
  u32 kind = slot(op, 0), index = slot(op, 1), a = slot(op, 2), b = slot(op, 3), sum = 0;
  u32 size = size_of(kind, a, b);
  if (kind == FREE && !a) sum = load(slot(slots, index));
  u32 block = call(kind, slot(slots, index), a, b);
  set_slot(slots, index, block);
  if (size < WORD) return sum;
  checked(block);
  if (kind == CALLOC || (kind == REALLOC && !b)) sum = load(block);
  store(block, mark);
  return sum;
}

/* slots: zeroed words, one for every slot that the operations name. */
EXPORT(trace)(u32 ops, u32 slots, u32 n) {
  u32 sum = 0;
  for (u32 i = 0; i < n; i++) sum += replay(ops + i * 16, slots, i + 1);
  return sum;
}
