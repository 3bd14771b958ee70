/* Buffers that grow, taking turns. */
#include "workload.h"

enum { BUFFERS = 64, FIRST_SIZE = 16, LAST_SIZE = 65536 };

static inline u32 grown(u32 size, u32 random) {
  return random & 1 ? size + (size >> 1) : size + 8 + (random >> 1) % 64;
}

/* Half of the steps grow by half, the others by 8..71 bytes; one operation is one step. */
EXPORT(realloc_growth)(u32 table, u32 aux, u32 seed, u32 n) {
  u32 sum = 0;
  for (u32 i = 0; i < BUFFERS; i++) {
    set_slot(table, i, allocate(FIRST_SIZE, i));
    set_slot(aux, i, FIRST_SIZE);
  }
  for (u32 i = 0; i < n; i++) {
    seed = xorshift(seed);
    u32 index = (seed >> 20) % BUFFERS, old_size = slot(aux, index), block = slot(table, index);
    u32 size = old_size >= LAST_SIZE ? FIRST_SIZE : grown(old_size, seed);
    if (old_size >= LAST_SIZE) {
      sum += release(block);
      block = heap_malloc(size);
    } else {
      block = heap_realloc(block, size);
      sum += load(checked(block));
    }
    store(block, i);
    store(block + (size & ~3u) - 4, i);
    set_slot(table, index, block);
    set_slot(aux, index, size);
  }
  for (u32 i = 0; i < BUFFERS; i++) sum += release(slot(table, i));
  return sum;
}
