/* Blocks that die in the reverse order of their birth. */
#include "workload.h"

EXPORT(lifo_fixed)(u32 table, u32 aux, u32 seed, u32 n) {
  u32 sum = seed;
  for (u32 i = 0; i < n; i++) sum += release(allocate(32, i));
  return sum;
}

/* 16..1024 bytes. */
EXPORT(lifo_mixed)(u32 table, u32 aux, u32 seed, u32 n) {
  u32 sum = 0;
  for (u32 i = 0; i < n; i++) {
    seed = xorshift(seed);
    sum += release(allocate(16 + seed % 1009, i));
  }
  return sum;
}

/* A stack whose depth walks at random between 0 and 1 000: 2 n pushes and pops. */
EXPORT(stack_walk)(u32 table, u32 aux, u32 seed, u32 n) {
  u32 sum = 0, depth = 0;
  for (u32 i = 0; i < 2 * n; i++) {
    seed = xorshift(seed);
    if (depth == 0 || (depth < 1000 && (seed & 0x8000)))
      set_slot(table, depth++, allocate(16 + (seed >> 16) % 1009, i));
    else
      sum += release(slot(table, --depth));
  }
  while (depth) sum += release(slot(table, --depth));
  return sum;
}
