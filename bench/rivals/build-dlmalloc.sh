#!/bin/sh
# Rebuilds dlmalloc.wasm from the malloc in Debian's wasi-libc. Needs clang, lld and wasi-libc.
set -eu
cd "$(dirname "$0")"
clang --target=wasm32-wasi -O3 -nostdlib -Wl,--no-entry -Wl,--strip-all \
  -Wl,-z,stack-size=16384 -Wl,--stack-first \
  -Wl,--export=malloc -Wl,--export=free -Wl,--export=calloc -Wl,--export=realloc \
  -Wl,--export=malloc_usable_size \
  -o dlmalloc.wasm dlmalloc.c -lc
