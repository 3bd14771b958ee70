/*
 * wasi-libc's dlmalloc for threads: every call under one lock, as libcs do it. All instances share
 * one shadow stack, which is right because it is only used under the lock.
 *
 * The lock is a futex as Drepper tells it (0 free, 1 held, 2 held and awaited) that spins a while
 * before it sleeps; with SPIN_ONLY it never sleeps.
 */
#include <stdlib.h>

#define LOCKED(name) __attribute__((export_name(#name)))

enum { SPINS = 100 };

static int lock;

static int try(void) {
  int free = 0;
  return __atomic_compare_exchange_n(&lock, &free, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

#ifdef SPIN_ONLY
static void enter(void) {
  while (!try())
    while (__atomic_load_n(&lock, __ATOMIC_SEQ_CST)) continue;
}

static void leave(void) { __atomic_store_n(&lock, 0, __ATOMIC_SEQ_CST); }
#else
/* A function of its own: V8 11.3 (Node 20) loses locals that live across a wait. */
__attribute__((noinline)) static void sleep_on_lock(void) {
  __builtin_wasm_memory_atomic_wait32(&lock, 2, -1);
}

static void enter(void) {
  for (int spins = 0; spins < SPINS; spins++)
    if (!__atomic_load_n(&lock, __ATOMIC_SEQ_CST) && try()) return;
  while (__atomic_exchange_n(&lock, 2, __ATOMIC_SEQ_CST)) sleep_on_lock();
}

static void leave(void) {
  if (__atomic_exchange_n(&lock, 0, __ATOMIC_SEQ_CST) == 2)
    __builtin_wasm_memory_atomic_notify(&lock, 1);
}
#endif

LOCKED(malloc) void *locked_malloc(size_t size) {
  enter();
  void *block = malloc(size);
  leave();
  return block;
}

LOCKED(free) void locked_free(void *block) {
  enter();
  free(block);
  leave();
}

LOCKED(calloc) void *locked_calloc(size_t count, size_t size) {
  enter();
  void *block = calloc(count, size);
  leave();
  return block;
}

LOCKED(realloc) void *locked_realloc(void *block, size_t size) {
  enter();
  void *moved = realloc(block, size);
  leave();
  return moved;
}

LOCKED(memalign) void *locked_memalign(size_t alignment, size_t size) {
  enter();
  void *block = aligned_alloc(alignment, size);
  leave();
  return block;
}
