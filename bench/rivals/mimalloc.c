/*
 * mimalloc as a module of its own. It overrides the libc's malloc, so malloc, free and the like
 * are exported as they are; here is only what is missing.
 */
#include <mimalloc.h>

#define EXPORT(name) __attribute__((export_name(#name)))

extern unsigned char __heap_base;

EXPORT(heap_base) void *heap_base(void) { return &__heap_base; }

#ifdef TERRANE_TUNED
/*
 * Never purge (the option has changed its name: versions 2.0 decommit, later ones purge). And hold
 * an arena from the start: what version 2.0 takes from the system for a huge block it gives back
 * when the block is freed, but wasm takes nothing back, so that memory would be lost.
 */
__attribute__((constructor)) static void tune(void) {
  mi_process_init(); /* or the size of a page is not known yet */
#if MI_MALLOC_VERSION < 210
  mi_option_set(mi_option_allow_decommit, 0);
#else
  mi_option_set(mi_option_purge_delay, -1);
#endif
  mi_reserve_os_memory(256u << 20, true, false);
}
#endif
