/** A wasm program that imports its allocator: every kind of name links and does what C expects. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import asc from "assemblyscript/asc";
import { createAbi, createHeap, type HeapOptions } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";

const source = `
@external("env", "_Znwm") declare function operatorNew(n: u32): u32;
@external("env", "_ZdlPvm") declare function operatorDelete(p: u32, n: u32): void;
@external("env", "_ZnwmSt11align_val_t") declare function newAligned(n: u32, a: u32): u32;
@external("env", "_ZdlPvmSt11align_val_t")
declare function deleteAligned(p: u32, n: u32, a: u32): void;
@external("env", "mi_heap_new") declare function heapNew(): u32;
@external("env", "mi_heap_malloc") declare function heapMalloc(h: u32, n: u32): u32;
@external("env", "mi_heap_destroy") declare function heapDestroy(h: u32): void;
@external("env", "posix_memalign") declare function posixMemalign(o: u32, a: u32, n: u32): i32;
@external("env", "reallocarr") declare function reallocarr(o: u32, c: u32, n: u32): i32;
@external("env", "free_size") declare function freeSize(p: u32, n: u32): void;
@external("env", "mi_malloc_aligned") declare function mallocAligned(n: u32, a: u32): u32;
@external("env", "cfree") declare function cfree(p: u32): void;
@external("env", "valloc") declare function valloc(n: u32): u32;
@external("env", "mi_is_in_heap_region") declare function isInHeap(p: u32): bool;
export function main(): u32 {
  operatorDelete(operatorNew(100), 100);
  const aligned = newAligned(100, 256);
  if (aligned % 256) return 1;
  deleteAligned(aligned, 100, 256);
  const heap = heapNew();
  for (let i: u32 = 0; i < 1000; i++) store<u8>(heapMalloc(heap, i), 1);
  heapDestroy(heap);
  const out = operatorNew(8);
  if (posixMemalign(out, 64, 100) || load<u32>(out) % 64) return 2;
  if (reallocarr(out, 100, 100)) return 3;
  freeSize(load<u32>(out), 10000);
  freeSize(out, 8);
  const inside = mallocAligned(50, 128);
  if (inside % 128 || !isInHeap(inside)) return 4;
  cfree(inside);
  cfree(12);
  const page = valloc(1);
  if (page % 4096) return 5;
  cfree(page);
  return 42;
}`;

let program: WebAssembly.Module;

before(async () => {
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main(
    ["program.ts", "-o", "program.wasm", "--runtime", "stub", "--importMemory"],
    {
      readFile: (name) => (name === "program.ts" ? source : null),
      writeFile: (_name, contents) => {
        if (typeof contents !== "string") bytes = new Uint8Array(contents);
      },
      listFiles: () => [],
    },
  );
  assert.ok(!error && bytes, stderr.toString());
  program = new WebAssembly.Module(bytes);
});

const memory = () => new WebAssembly.Memory({ initial: 4, maximum: 1000 });
const places: [string, () => HeapOptions][] = [
  ["wasm", () => ({})],
  ["js", () => ({ backend: javascript, memory: memory() })],
];

for (const [place, options] of places) {
  test(`${place}: a program's imports link, work, and leave nothing behind`, () => {
    const heap = createHeap(options());
    const env = { memory: heap.memory as WebAssembly.Memory, ...createAbi(heap) };
    const { main } = new WebAssembly.Instance(program, { env }).exports;
    assert.equal((main as () => number)(), 42);
    assert.equal(heap.stats().blocks, 0);
  });
}
