/** What is proven to be an allocator, and what only looks like one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readModule } from "#src/wasm/index.js";
import { type Proof, proveAllocator } from "#src/wasm/proof/prove.js";
import { compile } from "../support/assemblyscript.js";
import { fixture, other, stripped } from "../support/fixtures.js";
import { type ToyParts, toyAllocator } from "../support/toy-allocator.js";
import { wat } from "../support/wat.js";

function proofOf(bytes: Uint8Array): Proof {
  return proveAllocator(readModule(bytes));
}

/** The functions of a toy allocator that are proven, by their exports: "a malloc, b free". */
async function toyProof(parts: ToyParts): Promise<string> {
  const bytes = toyAllocator(parts);
  const { functions } = proofOf(bytes);
  const names = new Map(readModule(bytes).exports.map((each) => [each.index, each.name]));
  const proven = functions.filter((each) => !each.failure);
  return proven
    .map((each) => `${names.get(each.index)} ${each.role.name}`)
    .sort()
    .join(", ");
}

const WHOLE = "a malloc, b free, c realloc, d calloc, e malloc_usable_size";

test("proof: an allocator without names is proven, with its state", async () => {
  assert.equal(await toyProof({}), WHOLE);
  const { outcome, state, leftovers, functions } = proofOf(toyAllocator());
  assert.equal(outcome, "proven");
  assert.equal(state[0]?.from, 1024);
  assert.deepEqual(leftovers, []);
  const wrappers = functions.filter((each) => !each.base).map((each) => each.role.name);
  assert.deepEqual(wrappers.sort(), ["calloc", "malloc_usable_size", "realloc"]);
});

/** Pairs that look like malloc and free, and of which at least one is neither. */
const falsePairs: readonly (readonly [string, ToyParts])[] = [
  [
    "a free that ignores",
    { free: `(func $free (export "b") (param i32) (drop (i32.load (i32.const 1032))))` },
  ],
  [
    "an arena, whose free takes back everything",
    { free: `(func $free (export "b") (param i32) (i32.store (i32.const 1024) (i32.const 0)))` },
  ],
  [
    "a bump allocator, whose free takes back the last block only",
    {
      malloc: `(func $malloc (export "a") (param $n i32) (result i32)
        (i32.store (i32.const 1028) (call $sbrk
          (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -16))))
        (i32.load (i32.const 1028)))`,
      free: `(func $free (export "b") (param $p i32)
        (if (i32.eq (local.get $p) (i32.load (i32.const 1028)))
          (then (i32.store (i32.const 1024) (local.get $p)))))`,
    },
  ],
  [
    "a free of what the block points to",
    {
      free: `(func $free (export "b") (param $p i32) (local $head i32)
        (local.set $p (i32.load (local.get $p)))
        (local.set $head (i32.add (i32.const 1032)
          (i32.shl (i32.load (i32.sub (local.get $p) (i32.const 8))) (i32.const 2))))
        (i32.store (local.get $p) (i32.load (local.get $head)))
        (i32.store (local.get $head) (local.get $p)))`,
    },
  ],
  [
    "a malloc that leaks large blocks",
    {
      free: `(func $free (export "b") (param $p i32) (local $head i32)
        (if (i32.gt_u (call $usable (local.get $p)) (i32.const 9000)) (then (return)))
        (local.set $head (i32.add (i32.const 1032)
          (i32.shl (i32.load (i32.sub (local.get $p) (i32.const 8))) (i32.const 2))))
        (i32.store (local.get $p) (i32.load (local.get $head)))
        (i32.store (local.get $head) (local.get $p)))`,
    },
  ],
  [
    "a pool of blocks of one size",
    {
      malloc: `(func $malloc (export "a") (param $n i32) (result i32) (local $p i32)
        (local.set $p (i32.load (i32.const 1032)))
        (if (local.get $p) (then (i32.store (i32.const 1032) (i32.load (local.get $p)))
          (return (local.get $p))))
        (call $sbrk (i32.const 64)))`,
      free: `(func $free (export "b") (param $p i32)
        (i32.store (local.get $p) (i32.load (i32.const 1032)))
        (i32.store (i32.const 1032) (local.get $p)))`,
    },
  ],
  [
    "a malloc that keeps its blocks in a ring",
    {
      malloc: `(func $malloc (export "a") (param $n i32) (result i32) (local $p i32)
        (local.set $p (i32.add (i32.load (i32.const 1024)) (i32.const 8)))
        (local.set $p (i32.add (local.get $p)
          (i32.and (i32.add (local.get $n) (i32.const 7)) (i32.const -8))))
        (if (i32.gt_u (local.get $p) (i32.const 60000)) (then (local.set $p (i32.const 0))))
        (i32.store (i32.const 1024) (local.get $p))
        (i32.add (i32.const 65536) (local.get $p)))`,
    },
  ],
];

for (const [name, parts] of falsePairs) {
  test(`proof: ${name} is not proven`, async () => {
    const proof = proofOf(toyAllocator(parts));
    assert.notEqual(proof.outcome, "proven");
    assert.equal(await toyProof(parts).then((text) => text.includes("free")), false);
  });
}

/** Functions beside a right malloc and free that are not what they look like. */
const falseRelatives: readonly (readonly [string, string, ToyParts])[] = [
  [
    "a realloc that does not copy",
    "c",
    {
      realloc: `(func $realloc (export "c") (param $p i32) (param $n i32) (result i32)
        (call $free (local.get $p)) (call $malloc (local.get $n)))`,
    },
  ],
  [
    "a realloc that keeps the old block",
    "c",
    {
      realloc: `(func $realloc (export "c") (param $p i32) (param $n i32) (result i32)
        (local $q i32)
        (local.set $q (call $malloc (local.get $n)))
        (memory.copy (local.get $q) (local.get $p) (local.get $n))
        (local.get $q))`,
    },
  ],
  [
    "a calloc that does not clear",
    "d",
    {
      calloc: `(func $calloc (export "d") (param $k i32) (param $n i32) (result i32)
        (call $malloc (i32.mul (local.get $k) (local.get $n))))`,
    },
  ],
  [
    "a calloc that forgets a factor",
    "d",
    {
      calloc: `(func $calloc (export "d") (param $k i32) (param $n i32) (result i32)
        (local $p i32)
        (local.set $p (call $malloc (local.get $n)))
        (memory.fill (local.get $p) (i32.const 0) (local.get $n))
        (local.get $p))`,
    },
  ],
  [
    "a memalign that does not align",
    "f",
    {
      more: `(func (export "f") (param $align i32) (param $n i32) (result i32)
        (call $malloc (i32.add (local.get $align) (local.get $n))))`,
    },
  ],
  [
    "strlen as malloc_usable_size",
    "e",
    {
      usable: `(func $usable (param $p i32) (result i32)
        (i32.sub (i32.shl (i32.const 1) (i32.load (i32.sub (local.get $p) (i32.const 8))))
          (i32.const 8)))
        (func (export "e") (param $p i32) (result i32) (local $q i32)
        (drop (i32.load (i32.const 1032)))
        (local.set $q (local.get $p))
        (loop $l (if (i32.load8_u (local.get $q)) (then
          (local.set $q (i32.add (local.get $q) (i32.const 1))) (br $l))))
        (i32.sub (local.get $q) (local.get $p)))`,
    },
  ],
  [
    "sbrk",
    "s",
    { more: `(func (export "s") (param i32) (result i32) (call $sbrk (local.get 0)))` },
  ],
];

for (const [name, letter, parts] of falseRelatives) {
  test(`proof: ${name} is not proven`, async () => {
    const text = await toyProof(parts);
    assert.match(text, /^a malloc, b free/);
    assert.doesNotMatch(text, new RegExp(`\\b${letter} `));
  });
}

test("proof: a memalign that aligns, and Rust's orders of arguments", async () => {
  const text = await toyProof({
    more: `(func $aligned (export "f") (param $align i32) (param $n i32) (result i32)
        (local $c i32) (local $q i32)
        (if (i32.le_u (local.get $align) (i32.const 8))
          (then (return (call $malloc (local.get $n)))))
        (local.set $c (i32.sub (i32.const 32)
          (i32.clz (i32.or (i32.const 15) (i32.add (local.get $n) (i32.const 7))))))
        (local.set $q (i32.and (i32.sub (i32.const 0) (local.get $align))
          (i32.add (local.get $align) (call $sbrk (i32.add (i32.shl (local.get $align)
            (i32.const 1)) (i32.shl (i32.const 1) (local.get $c)))))))
        (i32.store (i32.sub (local.get $q) (i32.const 8)) (local.get $c))
        (local.get $q))
      (func (export "g") (param $n i32) (param $align i32) (result i32)
        (call $aligned (local.get $align) (local.get $n)))
      (func (export "h") (param $p i32) (param $n i32) (param $align i32)
        (call $free (local.get $p)))
      (func (export "i") (param $p i32) (param $old i32) (param $align i32) (param $n i32)
        (result i32)
        (call $realloc (local.get $p) (local.get $n)))
      (func (export "j") (param $n i32) (param $align i32) (result i32)
        (call $calloc (i32.const 1) (local.get $n)))`,
  });
  assert.match(text, /f memalign, g __rust_alloc, h __rust_dealloc, i __rust_realloc/);
  // It ignores the alignment.
  assert.doesNotMatch(text, /j __rust_alloc_zeroed/);
});

test("proof: a function that reads malloc's variables is a leftover, with its name", async () => {
  const { outcome, leftovers } = proofOf(
    toyAllocator({
      more: `(func (export "mallinfo") (result i32) (i32.load (i32.const 1024)))
        (func (export "field") (param i32) (result i32) (i32.load offset=1024 (local.get 0)))`,
    }),
  );
  assert.equal(outcome, "proven");
  assert.deepEqual(
    leftovers.map((each) => [each.name, each.accesses, each.initialiser]),
    [["mallinfo", 1, false]],
  );
});

test("proof: errno, which malloc sets when it fails, is not its state", async () => {
  const { outcome, leftovers, state } = proofOf(
    toyAllocator({
      sbrk: `(func $sbrk (param $n i32) (result i32) (local $p i32)
        (i32.store (i32.const 1144) (i32.add (i32.load (i32.const 1024)) (i32.const 1)))
        (local.set $p (i32.or (i32.load (i32.const 1024)) (i32.const 65536)))
        (if (i32.gt_u (i32.add (local.get $p) (local.get $n))
          (i32.shl (memory.size) (i32.const 16)))
          (then (drop (memory.grow (i32.const 16)))))
        (i32.store (i32.const 1024) (i32.add (local.get $p) (local.get $n)))
        (local.get $p))`,
      more: `(func (export "errno") (result i32) (i32.load (i32.const 1144)))`,
    }),
  );
  assert.equal(outcome, "proven");
  assert.deepEqual(leftovers, []);
  assert.ok(state.every(({ from, to }) => 1144 < from || 1144 >= to));
});

test("proof: a program that reads a block's header is a leftover, one that reads a field is not", async () => {
  const reader = (name: string, load: string) => `(func (export "${name}") (result i32)
    (local $p i32)
    (local.set $p (call $malloc (i32.const 40)))
    (i32.and (i32.const -4) ${load}))`;
  const { leftovers } = proofOf(
    toyAllocator({
      more: [
        reader("header", "(i32.load (i32.sub (local.get $p) (i32.const 4)))"),
        reader("offset", "(i32.load offset=8 (i32.add (local.get $p) (i32.const -16)))"),
        reader("field", "(i32.load offset=8 (local.get $p))"),
        reader("end", "(i32.load (i32.add (local.get $p) (i32.const 36)))"),
      ].join(""),
    }),
  );
  assert.deepEqual(
    leftovers.map((each) => [each.name, each.readsHeader]),
    [
      ["header", true],
      ["offset", true],
    ],
  );
});

test("proof: an allocator that has to be set up first is found after its constructor", async () => {
  const { outcome, after, leftovers } = proofOf(
    toyAllocator({
      sbrk: `(func $init (export "_initialize") (i32.store (i32.const 1024) (i32.const 65536)))
        (func $sbrk (param $n i32) (result i32) (local $p i32)
        (local.set $p (i32.load (i32.const 1024)))
        (if (i32.eqz (local.get $p)) (then (unreachable)))
        (if (i32.gt_u (i32.add (local.get $p) (local.get $n))
          (i32.shl (memory.size) (i32.const 16)))
          (then (drop (memory.grow (i32.const 16)))))
        (i32.store (i32.const 1024) (i32.add (local.get $p) (local.get $n)))
        (local.get $p))`,
    }),
  );
  assert.equal(outcome, "proven");
  assert.notEqual(after, undefined);
  assert.deepEqual(
    leftovers.map((each) => each.initialiser),
    [true],
  );
});

test("proof: modules without an allocator, and modules that cannot be tried", async () => {
  const none = wat(`(module (memory 1) (func (export "f") (param i32) (result i32)
    (i32.add (local.get 0) (i32.const 4096))))`);
  assert.equal(proofOf(none).outcome, "none");
  assert.equal(proofOf(wat("(module)")).outcome, "none");
  assert.equal(proofOf(fixture("memory64.wasm")).outcome, "undecided");
  const bump = proofOf(other("bench/rivals/bump.wasm"));
  assert.deepEqual([bump.outcome, bump.functions[0]?.role.name], ["bump", "malloc"]);
});

/** Modules with names, and their functions that must be found without them. */
const named = ["churn-O0.wasm", "churn-O2.wasm", "churn-cpp.wasm", "operators.wasm", "boxes.wasm"];

for (const file of named) {
  test(`proof: ${file} has the same malloc and free without its names`, async () => {
    const before = proofOf(fixture(file));
    const after = proofOf(stripped(fixture(file)));
    assert.deepEqual([before.outcome, after.outcome], ["proven", "proven"]);
    assert.deepEqual(
      before.functions.filter((each) => each.failure),
      [],
    );
    const base = (proof: Proof) =>
      proof.functions
        .filter((each) => each.base && ["alloc", "free"].includes(each.role.action))
        .map((each) => each.index);
    assert.deepEqual(
      base(after).filter((index) => base(before).includes(index)),
      base(after),
    );
    assert.ok(base(after).length >= 2);
    assert.deepEqual(after.state, before.state);
    assert.deepEqual(after.leftovers, []);
  });
}

test("proof: Rust's dlmalloc is proven with the address of its state", async () => {
  const { functions } = proofOf(fixture("boxes.wasm"));
  const malloc = functions.find((each) => each.name.includes("6malloc"));
  assert.equal(malloc?.failure, undefined);
  assert.ok((malloc?.self ?? 0) > 65536);
});

test("proof: AssemblyScript's allocator has its state in a global", async () => {
  const bytes = await compile("export function f(): usize { return changetype<usize>([1, 2]); }");
  const { outcome, stateGlobals } = proofOf(bytes);
  assert.equal(outcome, "proven");
  assert.equal(stateGlobals.length, 1);
});
