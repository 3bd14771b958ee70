/**
 * Finding allocators: by every name that toolchains use, by the user's options, and by what their
 * code looks like.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { roleOf } from "#src/wasm/allocators/roles.js";
import { findAllocator, ModuleEditor, readModule } from "#src/wasm/index.js";
import { fixture, other, stripped } from "../support/fixtures.js";

/** Name, the role it has, its family and parameters. */
const NAMES: readonly (readonly [string, string, string, string])[] = [
  ["malloc", "malloc", "malloc", "size"],
  ["dlmalloc", "malloc", "malloc", "size"],
  ["__libc_free", "free", "malloc", "ptr"],
  ["emscripten_builtin_memalign", "memalign", "malloc", "align size"],
  ["_malloc", "malloc", "malloc", "size"],
  ["posix_memalign", "posix_memalign", "malloc", "out align size"],
  ["reallocarray", "reallocarray", "malloc", "ptr count size"],
  ["__rust_alloc", "__rust_alloc", "rust", "size align"],
  ["__rdl_dealloc", "__rust_dealloc", "rust", "ptr size align"],
  ["_RNvCsbLdYzSbM9Dr_7___rustc12___rust_alloc", "__rust_alloc", "rust", "size align"],
  ["_RNvCsbLdYzSbM9Dr_7___rustc14___rust_realloc", "__rust_realloc", "rust", "ptr old align size"],
  ["_RNvCsbLdYzSbM9Dr_7___rustc18___rdl_alloc_zeroed", "__rust_alloc_zeroed", "rust", "size align"],
  [
    "_ZN8dlmalloc8dlmalloc17Dlmalloc$LT$A$GT$6malloc17h0d49dc60e377c70eE",
    "malloc",
    "rust",
    "- size",
  ],
  ["dlmalloc::dlmalloc::Dlmalloc<A>::free::hc162d4563cf6e25b", "free", "rust", "- ptr"],
  ["operator new(unsigned long)", "operator new", "new", "size"],
  ["operator new[](unsigned int, std::nothrow_t const&)", "operator new[]", "new[]", "size -"],
  ["operator delete(void*, unsigned long)", "operator delete", "new", "ptr size"],
  ["operator delete[](void*)", "operator delete[]", "new[]", "ptr"],
  ["_Znwm", "operator new", "new", "size"],
  ["_ZnajSt11align_val_tRKSt9nothrow_t", "operator new[]", "new[]", "size align -"],
  ["_ZdlPvmSt11align_val_t", "operator delete", "new", "ptr size align"],
  ["_ZdaPv", "operator delete[]", "new[]", "ptr"],
  ["~lib/rt/tlsf/__alloc", "__alloc", "assemblyscript", "size"],
  ["~lib/rt/tlsf/__free", "__free", "assemblyscript", "ptr"],
  ["heap.WasmAllocator.alloc", "alloc", "zig", "- size log2 -"],
  ["heap.wasm_allocator.resize", "resize", "zig", "- ptr old log2 size -"],
];

for (const [name, role, family, params] of NAMES) {
  test(`by name: ${name}`, () => {
    const found = roleOf(name);
    assert.deepEqual([found?.name, found?.family, found?.params.join(" ")], [role, family, params]);
  });
}

test("names that only look alike have no role", () => {
  for (const name of [
    "mallocx",
    "my_malloc",
    "freeze",
    "operator new",
    "_Znw",
    "alloc",
    "runtime.alloc",
  ]) {
    assert.equal(roleOf(name), undefined, name);
  }
});

const rolesOf = (bytes: Uint8Array) =>
  findAllocator(readModule(bytes)).map((each) => [each.role.name, each.source, each.sure]);

test("a C program's functions are found by their names", () => {
  const found = rolesOf(fixture("mistakes.wasm"));
  assert.ok(found.every(([, source, sure]) => source === "name" && sure === "certain"));
  assert.deepEqual([...new Set(found.map(([name]) => name))].sort(), [
    "aligned_alloc",
    "calloc",
    "free",
    "malloc",
    "realloc",
  ]);
});

test("exports count if there are no names", () => {
  const found = rolesOf(stripped(other("bench/rivals/tlsf.wasm")));
  assert.deepEqual(found.map(([name, source]) => `${name} ${source}`).sort(), [
    "calloc export",
    "free export",
    "malloc export",
    "realloc export",
  ]);
});

test("the allocator of a stripped C program is found by its shape", () => {
  const named = findAllocator(readModule(fixture("mistakes.wasm")));
  const shaped = findAllocator(readModule(stripped(fixture("mistakes.wasm"))));
  assert.ok(shaped.length >= 6);
  for (const { index, role, source, sure } of shaped) {
    assert.deepEqual([source, sure], ["shape", "likely"]);
    const real = named.find((each) => each.index === index);
    // memalign is found by the function behind aligned_alloc, which has no name of its own.
    if (role.name !== "memalign") assert.equal(real?.role.name, role.name, `function ${index}`);
  }
});

test("beside exported malloc and free, a stripped module's realloc is found by its shape", () => {
  const module = readModule(stripped(fixture("mistakes.wasm")));
  const shaped = findAllocator(module);
  const editor = new ModuleEditor(module);
  for (const name of ["malloc", "free"]) {
    const found = shaped.find((each) => each.role.name === name) as { index: number };
    editor.addExport(name, 0, found.index);
  }
  const found = findAllocator(readModule(editor.write().bytes));
  assert.deepEqual(found.map((each) => `${each.role.name} ${each.source} ${each.sure}`).sort(), [
    "calloc shape likely",
    "free export certain",
    "malloc export certain",
    "memalign shape likely",
    "realloc shape likely",
  ]);
});

test("no allocator is found in modules without one", () => {
  for (const name of ["modern.wasm", "threads.wasm", "inline-dwarf4.wasm"]) {
    assert.deepEqual(rolesOf(fixture(name)), []);
  }
});

test("functions that the user names are not questioned", () => {
  const module = readModule(stripped(fixture("mistakes.wasm")));
  const [malloc] = findAllocator(module);
  const functions = { malloc: (malloc as { index: number }).index, free: "_start" };
  assert.throws(() => findAllocator(module, { functions }), {
    name: "RangeError",
    message: "function _start cannot be free: its type is not (1 × i32)",
  });
  const given = findAllocator(module, { functions: { malloc: functions.malloc } });
  assert.deepEqual(
    given.map((each) => [each.index, each.role.name, each.source, each.sure]),
    [[functions.malloc, "malloc", "given", "certain"]],
  );
});

test("functions that do not exist, and unknown roles, are refused", () => {
  const module = readModule(fixture("mistakes.wasm"));
  assert.throws(() => findAllocator(module, { functions: { malloc: "zork" } }), {
    message: "the module has no function zork",
  });
  assert.throws(() => findAllocator(module, { functions: { malloc: 99999 } }), {
    message: "the module has no function 99999",
  });
  assert.throws(() => findAllocator(module, { functions: { alloc: 3 } }), {
    name: "RangeError",
    message: /^unknown function "alloc" \(known: malloc, free, /,
  });
});
