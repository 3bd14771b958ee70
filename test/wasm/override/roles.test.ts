/**
 * Each function that an allocator can have, by name and type, with its new body; also of toolchains
 * that no fixture comes from, as their documentation describes them (Zig).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { override } from "#src/wasm/index.js";
import { leb, moduleOf, type Numbers, plain, section } from "../support/fixtures.js";

const I32 = 0x7f;
const text = (name: string) => [
  ...leb(name.length),
  ...[...name].map((letter) => letter.charCodeAt(0)),
];

interface Declared {
  readonly name: string;
  readonly params: number;
  readonly returns: boolean;
}

/** A module of functions that only trap, with these names in the name section, exported f0, f1 … */
function moduleWith(functions: readonly Declared[]): Uint8Array<ArrayBuffer> {
  const count = functions.length;
  const i32s = (n: number) => [n, ...new Array<number>(n).fill(I32)];
  const types = functions.map((f) => [0x60, ...i32s(f.params), ...i32s(f.returns ? 1 : 0)]);
  const exports = functions.map((_, i) => [...text(`f${i}`), 0, i]);
  const names = [count, ...functions.flatMap(({ name }, i) => [i, ...text(name)])];
  return moduleOf(
    section(1, count, ...types.flat()),
    section(3, count, ...functions.map((_, i) => i)),
    section(5, 1, 0, 1),
    section(7, count + 1, ...exports.flat(), ...text("memory"), 2, 0),
    section(10, count, ...functions.flatMap(() => [3, 0, 0, 0x0b])),
    section(0, ...text("name"), 1, ...leb(names.length), ...names),
  );
}

type Call = (...args: number[]) => number;
/** As many calls as the test takes apart. */
type Calls = [Call, Call, Call, Call, Call, Call, Call];

/** Overrides a module of such functions: the calls, in order, and its memory. */
function roles(...declared: readonly (readonly [string, number, boolean])[]): {
  calls: Calls;
  memory: () => DataView;
} {
  const functions = declared.map(([name, params, returns]) => ({ name, params, returns }));
  const { bytes, report } = override(moduleWith(functions), { trust: true });
  assert.equal(report.functions.length, functions.length);
  assert.ok(report.functions.every((each) => each.fate === "replaced"));
  const exports = plain(bytes) as Numbers & { memory: unknown };
  const calls = functions.map((_, i) => (...args: number[]) => {
    return ((exports[`f${i}`] as Call)(...args) ?? 0) >>> 0;
  });
  return {
    calls: calls as Calls,
    memory: () => new DataView((exports.memory as unknown as WebAssembly.Memory).buffer),
  };
}

const HUGE = 0xfff00000;

test("C: memalign, aligned_alloc, malloc_usable_size, reallocarray", () => {
  const { calls } = roles(
    ["malloc", 1, true],
    ["free", 1, false],
    ["memalign", 2, true],
    ["aligned_alloc", 2, true],
    ["malloc_usable_size", 1, true],
    ["reallocarray", 3, true],
    ["dlmalloc", 1, true],
  );
  const [malloc, free, memalign, aligned, usable, array, dl] = calls;
  assert.equal(memalign(4096, 100) % 4096, 0);
  assert.equal(memalign(3, 8), 0);
  assert.equal(aligned(64, 640) % 64, 0);
  assert.ok(usable(malloc(100)) >= 100);
  assert.equal(usable(0), 0);
  assert.equal(array(0, 65536, 65536), 0);
  const ten = array(0, 10, 4);
  assert.ok(usable(ten) >= 40 && usable(array(ten, 1000, 4)) >= 4000);
  const block = dl(1000);
  free(block);
  assert.equal(malloc(1000), block);
  free(8); // in the program's own memory: ignored
  assert.equal(malloc(HUGE), 0);
});

test("C: posix_memalign returns WASI's codes and touches nothing when it fails", () => {
  const { calls, memory } = roles(["posix_memalign", 3, true]);
  const [posix] = calls;
  memory().setUint32(64, 77, true);
  assert.deepEqual([posix(64, 3, 8), posix(64, 2, 8), posix(64, 0, 8)], [28, 28, 28]);
  assert.equal(posix(64, 16, HUGE), 48);
  assert.equal(memory().getUint32(64, true), 77);
  assert.equal(posix(64, 512, 8), 0);
  assert.equal(memory().getUint32(64, true) % 512, 0);
});

test("Rust: layouts of every alignment, zeroed and resized", () => {
  const { calls, memory } = roles(
    ["_RNvCsbLdYzSbM9Dr_7___rustc12___rust_alloc", 2, true],
    ["__rust_dealloc", 3, false],
    ["__rust_realloc", 4, true],
    ["__rust_alloc_zeroed", 2, true],
  );
  const [alloc, dealloc, realloc, zeroed] = calls;
  for (let align = 1; align <= 8192; align *= 2) {
    for (const size of [1, 5, 16, 100, 3000, 90_000]) {
      const p = alloc(size, align);
      memory().setUint8(p + size - 1, 0x5a);
      const q = realloc(p, size, align, size * 2);
      assert.equal(memory().getUint8(q + size - 1), 0x5a);
      const z = zeroed(size, align);
      for (let i = 0; i < size; i++) assert.equal(memory().getUint8(z + i), 0);
      assert.deepEqual([p % align, q % align, z % align], [0, 0, 0]);
      new Uint8Array(memory().buffer, z, size).fill(0xff);
      dealloc(z, size, align);
      dealloc(q, size * 2, align);
    }
  }
  assert.equal(alloc(HUGE, 4), 0);
  assert.equal(alloc(HUGE, 4096), 0);
});

test("C++: operators that do not call malloc; a throwing new traps without memory", () => {
  const { calls } = roles(
    ["operator new(unsigned long)", 1, true],
    ["operator new[](unsigned long, std::align_val_t)", 2, true],
    ["operator new(unsigned long, std::nothrow_t const&)", 2, true],
    ["operator delete(void*)", 1, false],
    ["operator delete[](void*, unsigned long)", 2, false],
  );
  const [make, aligned, nothrow, drop, dropSized] = calls;
  const block = make(40);
  drop(block);
  assert.equal(make(40), block);
  const wide = aligned(100, 256);
  assert.equal(wide % 256, 0);
  dropSized(wide, 100);
  assert.equal(nothrow(HUGE, 0), 0);
  assert.throws(() => make(HUGE), { name: "RuntimeError", message: "unreachable" });
  assert.throws(() => aligned(HUGE, 256), { name: "RuntimeError", message: "unreachable" });
});

test("Zig: alignments are logarithms, and resizing in place is refused", () => {
  const { calls } = roles(
    ["heap.WasmAllocator.alloc", 4, true],
    ["heap.WasmAllocator.resize", 6, true],
    ["heap.WasmAllocator.remap", 6, true],
    ["heap.WasmAllocator.free", 5, false],
  );
  const [alloc, resize, remap, free] = calls;
  const block = alloc(0, 100, 12, 0);
  assert.equal(block % 4096, 0);
  const small = alloc(0, 100, 0, 0);
  assert.deepEqual([resize(0, small, 100, 0, 50, 0), remap(0, small, 100, 0, 200, 0)], [0, 0]);
  free(0, small, 100, 0, 0);
  assert.equal(alloc(0, 100, 2, 0), small);
});
