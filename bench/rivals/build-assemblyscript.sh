#!/bin/sh
# Rebuilds tlsf.wasm, bump.wasm and cycle.wasm. Needs the npm package assemblyscript (asc on the PATH, or
# installed where npx finds it).
set -eu
cd "$(dirname "$0")"
asc=${ASC:-npx --no-install asc}
$asc tlsf.ts --runtime minimal -O3 --noAssert --converge --use abort= -o tlsf.wasm
$asc bump.ts --runtime stub -O3 --noAssert --converge --use abort= -o bump.wasm
$asc cycle.ts --runtime stub -O3 --noAssert --converge --use abort= -o cycle.wasm \
  --importMemory --sharedMemory --enable threads --maximumMemory 65536
