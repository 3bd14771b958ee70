#!/bin/sh
# Rebuilds workloads.wasm, and for shared memories workloads-shared.wasm, which has the workloads of
# several threads too. Needs Debian's clang and lld.
set -eu
cd "$(dirname "$0")"
# Nothing may be added to the memory that the allocator under test owns: no stack, no data.
# Addresses are plain integers here, so neither aliasing nor null gets a meaning of its own.
build() {
  clang --target=wasm32 -O3 -nostdlib -ffreestanding -fno-strict-aliasing \
    -fno-delete-null-pointer-checks -Wall -Wextra -Wno-unused-parameter \
    -Wno-int-to-pointer-cast \
    -Wl,--no-entry -Wl,--import-memory -Wl,--initial-memory=0 -Wl,-z,stack-size=0 \
    -Wl,--stack-first -Wl,--strip-all "$@"
}
single="batch.c cfrac.c churn.c growth.c lifo.c trace.c"
build -o workloads.wasm $single
build -matomics -mbulk-memory -Wl,--shared-memory -Wl,--max-memory=4294967296 \
  -o workloads-shared.wasm $single threads.c
