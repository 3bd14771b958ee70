#!/bin/sh
# Builds kernels.wasm. Needs clang, lld and wasi-libc (Debian: clang lld wasi-libc
# libclang-rt-14-dev-wasm32).
set -e
cd "$(dirname "$0")"
clang --target=wasm32-wasi --sysroot=/usr -O2 -mexec-model=reactor -Wl,--strip-debug \
  kernels.c -o kernels.wasm
