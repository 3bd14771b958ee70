#!/bin/sh
# Rebuilds dlmalloc-lock.wasm and dlmalloc-spin.wasm, the malloc of Debian's wasi-libc under one
# lock for a shared memory. Needs clang, lld and wasi-libc.
set -eu
cd "$(dirname "$0")"
# The libc's objects were built without atomics, hence --no-check-features: that is right, since
# they only run under the lock. The data is written by the start function of the first instance.
build() {
  clang --target=wasm32-wasi -O3 -nostdlib -matomics -mbulk-memory -fno-builtin \
    -Wl,--no-entry -Wl,--strip-all -Wl,--shared-memory -Wl,--import-memory \
    -Wl,--max-memory=4294967296 -Wl,--no-check-features \
    -Wl,-z,stack-size=16384 -Wl,--stack-first "$@" dlmalloc-lock.c -lc
}
build -o dlmalloc-lock.wasm
build -DSPIN_ONLY -o dlmalloc-spin.wasm
