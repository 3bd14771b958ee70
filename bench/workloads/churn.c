/* A set of live blocks of which a random one is replaced again and again. */
#include "workload.h"

enum { TOGGLED = 100000, TOGGLED_CLASSES = 11, LARGE_SLOTS = 32 };

static inline u32 replace(u32 table, u32 seed, u32 n, u32 live, u32 least, u32 sizes) {
  u32 sum = 0;
  for (u32 i = 0; i < live; i++) {
    seed = xorshift(seed);
    set_slot(table, i, allocate(least + seed % sizes, i));
  }
  for (u32 i = 0; i < n; i++) {
    seed = xorshift(seed);
    u32 victim = (seed >> 12) % live;
    sum += release(slot(table, victim));
    seed = xorshift(seed);
    set_slot(table, victim, allocate(least + seed % sizes, i));
  }
  for (u32 i = 0; i < live; i++) sum += release(slot(table, i));
  return sum;
}

/* The heart of larson: 5 000 blocks of 8..1000 bytes. */
EXPORT(larson)(u32 table, u32 aux, u32 seed, u32 n) {
  return replace(table, seed, n, 5000, 8, 993);
}

/* 1 000 blocks of 16..1024 bytes: few enough for allocators that walk a list of blocks. */
EXPORT(replace_1000)(u32 table, u32 aux, u32 seed, u32 n) {
  return replace(table, seed, n, 1000, 16, 1009);
}

static inline u32 release_all(u32 table, u32 count) {
  u32 sum = 0;
  for (u32 i = 0; i < count; i++)
    if (slot(table, i)) sum += release(slot(table, i));
  return sum;
}

/* 100 000 slots of skewed sizes, half of them in use: 2 n times a random one is toggled. */
EXPORT(alloc_test)(u32 table, u32 aux, u32 seed, u32 n) {
  u32 sum = 0;
  for (u32 i = 0; i < TOGGLED; i++) {
    seed = xorshift(seed);
    set_slot(table, i, i & 1 ? allocate(skewed_size(seed, TOGGLED_CLASSES), i) : 0);
  }
  for (u32 i = 0; i < 2 * n; i++) {
    seed = xorshift(seed);
    u32 index = seed % TOGGLED, block = slot(table, index);
    if (block) {
      sum += release(block);
      set_slot(table, index, 0);
    } else {
      seed = xorshift(seed);
      set_slot(table, index, allocate(skewed_size(seed, TOGGLED_CLASSES), i));
    }
  }
  return sum + release_all(table, TOGGLED);
}

/* 64 KiB up to 4 MiB, every doubling equally likely. The last word is touched, too. */
EXPORT(large)(u32 table, u32 aux, u32 seed, u32 n) {
  u32 sum = 0;
  for (u32 i = 0; i < LARGE_SLOTS; i++) set_slot(table, i, 0);
  for (u32 i = 0; i < n; i++) {
    seed = xorshift(seed);
    u32 index = (seed >> 20) % LARGE_SLOTS, least = 65536u << (seed % 6);
    if (slot(table, index)) sum += release(slot(table, index));
    seed = xorshift(seed);
    u32 size = (least + (seed & (least - 1))) & ~3u;
    u32 block = allocate(size, i);
    store(block + size - 4, i);
    set_slot(table, index, block);
  }
  return sum + release_all(table, LARGE_SLOTS);
}
