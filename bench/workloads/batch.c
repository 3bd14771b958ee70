/* Whole batches of blocks, born together and freed together in one order or several. */
#include "workload.h"

enum { THIRD = 400, BATCH = 3 * THIRD, SMALL_CLASSES = 8, BATCH_CLASSES = 9 };

/* Puts into aux a random order of the numbers below n, for batch_random; not part of its time. */
EXPORT(shuffle)(u32 aux, u32 seed, u32 n) {
  for (u32 i = 0; i < n; i++) set_slot(aux, i, i);
  for (u32 i = n - 1; i > 0; i--) {
    seed = xorshift(seed);
    u32 other = seed % (i + 1), moved = slot(aux, i);
    set_slot(aux, i, slot(aux, other));
    set_slot(aux, other, moved);
  }
  return seed;
}

static inline void allocate_batch(u32 table, u32 seed, u32 n) {
  for (u32 i = 0; i < n; i++) {
    seed = xorshift(seed);
    set_slot(table, i, allocate(skewed_size(seed, BATCH_CLASSES), i));
  }
}

/* n <= TABLE_WORDS, as for batch_random. */
EXPORT(batch_fifo)(u32 table, u32 aux, u32 seed, u32 n) {
  u32 sum = 0;
  allocate_batch(table, seed, n);
  for (u32 i = 0; i < n; i++) sum += release(slot(table, i)) ^ i;
  return sum;
}

EXPORT(batch_random)(u32 table, u32 aux, u32 seed, u32 n) {
  u32 sum = 0;
  allocate_batch(table, seed, n);
  for (u32 i = 0; i < n; i++) sum += release(slot(table, slot(aux, i))) ^ i;
  return sum;
}

static inline u32 release_forwards(u32 table, u32 from, u32 to, u32 stride) {
  u32 sum = 0;
  for (u32 i = from; i < to; i += stride) sum += release(slot(table, i));
  return sum;
}

static inline u32 release_backwards(u32 table, u32 from, u32 to) {
  u32 sum = 0;
  for (u32 i = to; i > from; i--) sum += release(slot(table, i - 1));
  return sum;
}

/* A third in order, a third in reverse, a third interleaved: every second block, then the rest. */
static inline u32 release_batch(u32 table, u32 first) {
  u32 second = first + THIRD, third = second + THIRD, end = third + THIRD;
  return release_forwards(table, first, second, 1) + release_backwards(table, second, third) +
         release_forwards(table, third, end, 2) + release_forwards(table, third + 1, end, 2);
}

/* After sh6bench: small blocks, and every batch is gone before the next one comes. */
EXPORT(sh6)(u32 table, u32 aux, u32 seed, u32 n) {
  u32 sum = 0;
  for (u32 done = 0; done + BATCH <= n; done += BATCH) {
    for (u32 i = 0; i < BATCH; i++) {
      seed = xorshift(seed);
      set_slot(table, i, allocate(skewed_size(seed, SMALL_CLASSES), done + i));
    }
    sum += release_batch(table, 0);
  }
  return sum;
}

/* Three blocks in four are small, the fourth has up to 2 KiB. */
static inline u32 sh8_size(u32 random) {
  return random & 0xc000 ? skewed_size(random, SMALL_CLASSES) : 4 + (random >> 16) % 2045;
}

/* After sh8bench: more sizes, and a batch dies only when the next but one has come. */
EXPORT(sh8)(u32 table, u32 aux, u32 seed, u32 n) {
  u32 sum = 0, batches = n / BATCH;
  for (u32 batch = 0; batch < batches; batch++) {
    u32 first = (batch % 3) * BATCH;
    for (u32 i = first; i < first + BATCH; i++) {
      seed = xorshift(seed);
      set_slot(table, i, allocate(sh8_size(seed), batch + i));
    }
    if (batch >= 2) sum += release_batch(table, ((batch - 2) % 3) * BATCH);
  }
  for (u32 batch = batches < 2 ? 0 : batches - 2; batch < batches; batch++)
    sum += release_batch(table, (batch % 3) * BATCH);
  return sum;
}
