/*
 * What every workload shares. The module owns no memory: it imports the memory and the allocator
 * under test, keeps its state in locals and in the tables its caller hands it, and has no data,
 * no shadow stack and no fixed address. Addresses are unsigned, so they may lie above 2 GiB.
 *
 * Every workload is called as workload(table, aux, seed, n):
 *   table, aux  two zeroed blocks of TABLE_WORDS words (4 MiB) each, got from the allocator before
 *               the clock starts; what a workload leaves in them is of no meaning
 *   seed        of xorshift32; never 0
 *   n           operations; a pair of malloc and free is one operation, unless the workload says
 *               otherwise
 * and returns a checksum which depends on what was written to the blocks, never on addresses: it
 * is the same for every allocator that keeps blocks apart.
 */
#ifndef TERRANE_BENCH_WORKLOAD_H
#define TERRANE_BENCH_WORKLOAD_H

typedef unsigned int u32;

#define TABLE_WORDS (1u << 20)

#define IMPORT(name) __attribute__((import_module("alloc"), import_name(#name))) extern u32
#define IMPORT_VOID(name) __attribute__((import_module("alloc"), import_name(#name))) extern void
#define EXPORT(name) __attribute__((export_name(#name))) u32 name

IMPORT(malloc) heap_malloc(u32 size);
IMPORT(realloc) heap_realloc(u32 block, u32 size);
IMPORT(calloc) heap_calloc(u32 count, u32 size);
IMPORT(memalign) heap_memalign(u32 alignment, u32 size);
IMPORT_VOID(free) heap_free(u32 block);

static inline u32 xorshift(u32 x) {
  x ^= x << 13;
  x ^= x >> 17;
  return x ^ (x << 5);
}

/* Volatile: a program touches its blocks, so the compiler must not drop these accesses. */
static inline u32 load(u32 address) { return *(volatile u32 *)address; }
static inline void store(u32 address, u32 value) { *(volatile u32 *)address = value; }

static inline u32 slot(u32 table, u32 index) { return ((u32 *)table)[index]; }
static inline void set_slot(u32 table, u32 index, u32 value) { ((u32 *)table)[index] = value; }

/* An allocator that runs out of memory must not look fast, so failure is a trap. */
static inline u32 checked(u32 block) {
  if (!block) __builtin_trap();
  return block;
}

static inline u32 allocate(u32 size, u32 mark) {
  u32 block = checked(heap_malloc(size));
  store(block, mark);
  return block;
}

static inline u32 release(u32 block) {
  u32 mark = load(block);
  heap_free(block);
  return mark;
}

/*
 * Sizes as real programs have them: half of the blocks take 4..7 bytes, a quarter 8..15, and so
 * on up to classes - 1 doublings (classes <= 16).
 */
static inline u32 skewed_size(u32 random, u32 classes) {
  u32 base = 4u << __builtin_ctz(random | 1u << (classes - 1));
  return base + ((random >> 16) & (base - 1));
}

#endif
