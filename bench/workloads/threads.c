/*
 * Workloads of several Workers over one memory, each of which has an instance of this module and
 * of the allocator. Every workload is called in all Workers at once, as
 *
 *   workload(shared, tables, id, workers, seed, n)
 *     shared      zeroed block of SHARED_WORDS words: rendezvous, rings and exchange slots
 *     tables      zeroed block with a table of WORKER_WORDS words for each Worker
 *     id          0 .. workers - 1
 *     seed        of xorshift32, another one in each Worker
 *     n           pairs of malloc and free, on the average of all Workers
 *
 * and returns what its frees read. The sum over the Workers depends on what was written alone: each
 * Worker allocates a fixed sequence of marks, and every block is freed once, whoever does it.
 * Nothing stays allocated.
 */
#include "workload.h"

#define WORKLOAD(name) EXPORT(name)(u32 shared, u32 tables, u32 id, u32 workers, u32 seed, u32 n)

/* Words which two Workers write lie 128 bytes apart: caches fetch lines in pairs. */
enum { LINE = 128 };
enum { ARRIVED = 0, GENERATION = LINE, PAIRS = 2 * LINE, TRANSFERS = 1 << 17 };
/* Also in ../threads-measure.ts. */
enum { WORKER_WORDS = 1 << 14 };

static inline u32 get(u32 address) { return __atomic_load_n((u32 *)address, __ATOMIC_SEQ_CST); }
static inline void put(u32 address, u32 value) {
  __atomic_store_n((u32 *)address, value, __ATOMIC_SEQ_CST);
}
static inline u32 swap(u32 address, u32 value) {
  return __atomic_exchange_n((u32 *)address, value, __ATOMIC_SEQ_CST);
}

/*
 * A function of its own: in the baseline code of V8 11.3 (Node 20) locals that live across a wait
 * are lost.
 */
__attribute__((noinline)) static void nap(u32 address, u32 value) {
  __builtin_wasm_memory_atomic_wait32((int *)address, value, 50000);
}

/*
 * Looks on for some milliseconds, then gives the core away. Much longer than a nap, or two Workers
 * that have once waited for each other would take turns with napping for the rest of the run.
 */
static inline void idle(u32 address, u32 value, u32 looks) {
  if (looks > 2000000) nap(address, value);
}

static inline u32 table_of(u32 tables, u32 index) { return tables + index * WORKER_WORDS * 4; }

/* Until all Workers are here. */
EXPORT(rendezvous)(u32 shared, u32 workers) {
  u32 generation = get(shared + GENERATION);
  if (__atomic_add_fetch((u32 *)(shared + ARRIVED), 1, __ATOMIC_SEQ_CST) == workers) {
    put(shared + ARRIVED, 0);
    put(shared + GENERATION, generation + 1);
    return generation;
  }
  for (u32 looks = 0; get(shared + GENERATION) == generation; looks++)
    idle(shared + GENERATION, generation, looks);
  return generation;
}

/* No allocator and no memory: what the machine gives to several Workers. */
WORKLOAD(compute) {
  for (u32 i = 0; i < n; i++) seed = xorshift(seed);
  return seed;
}

/* One word that the Workers write in turns: how long a line takes from core to core. */
WORKLOAD(handover) {
  u32 word = shared + PAIRS, last = n * workers;
  for (u32 turn = id; turn < last; turn += workers) {
    u32 now = get(word);
    for (u32 looks = 0; now != turn; looks++, now = get(word)) idle(word, now, looks);
    put(word, turn + 1);
  }
  return last;
}

extern u32 larson(u32 table, u32 aux, u32 seed, u32 n);

/* Every Worker for itself. */
WORKLOAD(private) { return larson(table_of(tables, id), 0, seed, n); }

/* ---- first in, first out --------------------------------------------------------------------- */

enum { RING = 1024, BATCH = 32 };
enum { HEAD = 0, TAIL = LINE, SLOTS = 2 * LINE, RING_BYTES = SLOTS + RING * 4 };

static inline u32 message_size(u32 random) { return 8 + random % 993; }

/* As produce_consume, but who allocates a block frees it. */
WORKLOAD(fifo) {
  u32 ring = table_of(tables, id), sum = 0;
  for (u32 i = 0; i < n; i++) {
    seed = xorshift(seed);
    if (i >= RING) sum += release(slot(ring, i % RING));
    set_slot(ring, i % RING, allocate(message_size(seed), i));
  }
  for (u32 i = 0; i < RING; i++) sum += release(slot(ring, i));
  return sum;
}

static inline u32 produce_batch(u32 ring, u32 seed, u32 first) {
  for (u32 i = first; i < first + BATCH; i++) {
    seed = xorshift(seed);
    set_slot(ring + SLOTS, i % RING, allocate(message_size(seed), i));
  }
  return seed;
}

static inline u32 consume_batch(u32 ring, u32 first) {
  u32 sum = 0;
  for (u32 i = first; i < first + BATCH; i++) sum += release(slot(ring + SLOTS, i % RING));
  return sum;
}

/* The count at `address` as soon as it is at least `least`. */
static inline u32 await(u32 address, u32 least) {
  u32 count = get(address);
  for (u32 looks = 0; (int)(count - least) < 0; looks++) {
    idle(address, count, looks);
    count = get(address);
  }
  return count;
}

static u32 produce(u32 ring, u32 seed, u32 n) {
  u32 tail = 0;
  for (u32 done = 0; done < n; done += BATCH) {
    if (done + BATCH - tail > RING) tail = await(ring + TAIL, done + BATCH - RING);
    seed = produce_batch(ring, seed, done);
    put(ring + HEAD, done + BATCH);
  }
  return 0;
}

static u32 consume(u32 ring, u32 n) {
  u32 sum = 0, head = 0;
  for (u32 done = 0; done < n; done += BATCH) {
    if (head == done) head = await(ring + HEAD, done + BATCH);
    sum += consume_batch(ring, done);
    put(ring + TAIL, done + BATCH);
  }
  return sum;
}

/* One Worker in both parts, with as many blocks alive as two have. */
static u32 produce_and_consume(u32 ring, u32 seed, u32 n) {
  u32 sum = 0, done = 0;
  for (; done < n; done += BATCH) {
    if (done >= RING) sum += consume_batch(ring, done - RING);
    seed = produce_batch(ring, seed, done);
  }
  for (u32 old = n > RING ? n - RING : 0; old < n; old += BATCH) sum += consume_batch(ring, old);
  return sum;
}

/*
 * Pairs of Workers: the first allocates and writes, the second reads and frees, through a ring of
 * addresses. Its indexes are written once a batch and read when the last value is used up, so 32
 * blocks share the cost. n is a multiple of BATCH.
 */
WORKLOAD(produce_consume) {
  u32 ring = shared + PAIRS + id / 2 * RING_BYTES;
  if ((id | 1) >= workers) return produce_and_consume(ring, seed, n);
  return id & 1 ? consume(ring, 2 * n) : produce(ring, seed, 2 * n);
}

/* ---- blocks that cross ----------------------------------------------------------------------- */

enum { BATCH_BLOCKS = 100, BATCH_SLOTS = 16, BATCH_CLASSES = 8 };

static u32 batch_allocate(u32 seed, u32 first) {
  u32 batch = checked(heap_malloc(BATCH_BLOCKS * 4));
  for (u32 i = 0; i < BATCH_BLOCKS; i++) {
    seed = xorshift(seed);
    set_slot(batch, i, allocate(skewed_size(seed, BATCH_CLASSES), first + i));
  }
  return batch;
}

static u32 batch_release(u32 batch) {
  u32 sum = 0;
  if (!batch) return 0;
  for (u32 i = 0; i < BATCH_BLOCKS; i++) sum += release(slot(batch, i));
  heap_free(batch);
  return sum;
}

/*
 * After xmalloc-test of Lever and Boreham: batches of small blocks that the next Worker frees; who
 * finds his last one still there frees that himself.
 */
WORKLOAD(xmalloc) {
  u32 sum = 0, turn = 0;
  u32 out = shared + TRANSFERS + (id + 1) % workers * BATCH_SLOTS * 4;
  u32 in = shared + TRANSFERS + id * BATCH_SLOTS * 4;
  for (u32 done = 0; done + BATCH_BLOCKS <= n; done += BATCH_BLOCKS, turn++) {
    u32 at = turn % BATCH_SLOTS * 4;
    sum += batch_release(swap(out + at, batch_allocate(seed + turn, done)));
    sum += batch_release(swap(in + at, 0));
  }
  rendezvous(shared, workers);
  for (u32 i = 0; i < BATCH_SLOTS; i++) sum += batch_release(swap(in + i * 4, 0));
  return sum;
}

enum { LARSON_LIVE = 5000 };

/*
 * After larson: when a Worker has replaced as many blocks as a table has, it goes on in the table of
 * the next Worker. Of the blocks that it finds there it frees two in three.
 */
WORKLOAD(larson_cross) {
  u32 sum = 0, table = table_of(tables, id);
  for (u32 i = 0; i < LARSON_LIVE; i++) {
    seed = xorshift(seed);
    set_slot(table, i, allocate(message_size(seed), i));
  }
  for (u32 i = 0; i < n; i++) {
    if (i % LARSON_LIVE == 0) {
      rendezvous(shared, workers);
      table = table_of(tables, (id + i / LARSON_LIVE) % workers);
    }
    seed = xorshift(seed);
    u32 victim = (seed >> 12) % LARSON_LIVE;
    sum += release(slot(table, victim));
    seed = xorshift(seed);
    set_slot(table, victim, allocate(message_size(seed), i));
  }
  for (u32 i = 0; i < LARSON_LIVE; i++) sum += release(slot(table, i));
  return sum;
}

enum { TRANSFER_SLOTS = 1024 };

static inline u32 release_any(u32 block) { return block ? release(block) : 0; }

/* Frees what Workers have left in their tables and in the exchange slots. */
static u32 release_rest(u32 shared, u32 table, u32 live, u32 id, u32 workers) {
  u32 sum = 0;
  for (u32 i = 0; i < live; i++) sum += release_any(slot(table, i));
  rendezvous(shared, workers);
  for (u32 i = id; i < TRANSFER_SLOTS; i += workers)
    sum += release_any(swap(shared + TRANSFERS + i * 4, 0));
  return sum;
}

/* An old block goes into an exchange slot now and then, and what was there is freed in its place. */
static inline u32 exchange(u32 shared, u32 block, u32 random) {
  return swap(shared + TRANSFERS + (random >> 8) % TRANSFER_SLOTS * 4, block);
}

enum { STRESS_LIVE = 2000, STRESS_CLASSES = 12, RPTEST_LIVE = 1000 };

/* After mimalloc's test-stress: skewed sizes up to 16 KiB, one block in four is exchanged. */
WORKLOAD(mstress) {
  u32 table = table_of(tables, id), sum = 0;
  for (u32 i = 0; i < n; i++) {
    seed = xorshift(seed);
    u32 block = allocate(skewed_size(seed, STRESS_CLASSES), i);
    seed = xorshift(seed);
    u32 victim = (seed >> 12) % STRESS_LIVE, old = slot(table, victim);
    set_slot(table, victim, block);
    sum += release_any(seed & 3 ? old : exchange(shared, old, seed));
  }
  return sum + release_rest(shared, table, STRESS_LIVE, id, workers);
}

/* After rptest: 16..16000 bytes, every second block is exchanged. */
WORKLOAD(rptest) {
  u32 table = table_of(tables, id), sum = 0;
  for (u32 i = 0; i < n; i++) {
    seed = xorshift(seed);
    u32 block = allocate(16 + seed % 15985, i);
    seed = xorshift(seed);
    u32 victim = (seed >> 12) % RPTEST_LIVE, old = slot(table, victim);
    set_slot(table, victim, block);
    sum += release_any(seed & 1 ? old : exchange(shared, old, seed));
  }
  return sum + release_rest(shared, table, RPTEST_LIVE, id, workers);
}
