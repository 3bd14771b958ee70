#!/bin/sh
# Builds the programs of bench/override.ts. Needs, on Debian 12: clang lld wasi-libc
# libclang-rt-14-dev-wasm32 libc++-14-dev-wasm32 libc++abi-14-dev-wasm32 rustc
# libstd-rust-dev-wasm32. The .wasm files are committed.
set -e
cd "$(dirname "$0")"
flags="--target=wasm32-wasi --sysroot=/usr -O2 -Wall -mexec-model=reactor -Wl,--strip-debug"
clang $flags heavy.c -o heavy-c.wasm
clang++ $flags -std=c++17 -fno-exceptions heavy.cpp -o heavy-cpp.wasm
/usr/bin/rustc --crate-type cdylib --target wasm32-unknown-unknown -O -C strip=debuginfo heavy.rs \
  -o heavy-rust.wasm
