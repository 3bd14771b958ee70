/*
 * wasi-libc's dlmalloc as a module of its own. malloc, free and the like are exported as they
 * are, for a wrapper would cost every call; here is only what the libc lacks.
 */
#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(#name)))

extern unsigned char __heap_base;

EXPORT(memalign) void *memalign(size_t alignment, size_t size) {
  return aligned_alloc(alignment, size);
}

EXPORT(heap_base) void *heap_base(void) { return &__heap_base; }
