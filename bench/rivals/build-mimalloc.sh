#!/bin/sh
# Builds mimalloc from Debian's source package for wasm: out/mimalloc.wasm as it comes, and
# out/mimalloc-tuned.wasm with the settings that matter most here.
# usage: build-mimalloc.sh FOLDER     a temporary folder for the source
# Needs clang, lld, wasi-libc, libclang-rt-dev-wasm32 and dpkg-dev.
set -eu
work=$(mkdir -p "${1:?usage: build-mimalloc.sh FOLDER}" && cd "$1" && pwd)
cd "$(dirname "$0")"

# A list of sources of its own, so that the machine's stays as it is.
fetch() {
  mkdir -p "$work/lists/partial"
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb-src [signed-by=$keyring] http://deb.debian.org/debian $release main" >"$work/list"
  set -- -q -o "Dir::Etc::sourcelist=$work/list" -o Dir::Etc::sourceparts=- \
    -o "Dir::State::lists=$work/lists" -o APT::Sandbox::User=root
  apt-get "$@" update
  (cd "$work" && apt-get "$@" source --download-only mimalloc)
  dpkg-source --no-check -x "$work"/mimalloc_*.dsc "$work/source"
}

# A reactor's _initialize must be called once. Without a reactor lld would run the constructors in
# every exported function, malloc and free included.
build() {
  output=$1 source=$2
  shift 2
  clang --target=wasm32-wasi -O3 -DNDEBUG -DMI_MALLOC_OVERRIDE -fno-builtin-malloc -w "$@" \
    -I "$source/include" -mexec-model=reactor -Wl,--strip-all \
    -Wl,-z,stack-size=65536 -Wl,--stack-first \
    -Wl,--export=malloc -Wl,--export=free -Wl,--export=calloc -Wl,--export=realloc \
    -Wl,--export=memalign -Wl,--export=malloc_usable_size \
    -o "out/$output" mimalloc.c "$source/src/static.c"
  ls -l "out/$output"
}

# The table of small sizes reaches to 1 KiB (256 words) instead of 512 bytes, nothing is purged, so
# that the clock, here a call out of wasm, is not read, and an arena of 256 MiB is there at once.
tune() {
  rm -rf "$work/tuned"
  cp -r "$work/source" "$work/tuned"
  sed -i -E 's/(define MI_SMALL_WSIZE_MAX +)\(?128\)?/\1(256)/' "$work/tuned/include/mimalloc.h"
  grep -q 'MI_SMALL_WSIZE_MAX *(256)' "$work/tuned/include/mimalloc.h"
}

[ -d "$work/source" ] || fetch
tune
mkdir -p out
build mimalloc.wasm "$work/source"
build mimalloc-tuned.wasm "$work/tuned" -DTERRANE_TUNED
