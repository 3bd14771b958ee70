/** What may be done with allocators of toys: replaced, with headers or not, watched, left alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { override } from "#src/wasm/index.js";
import { readModule } from "#src/wasm/module/reader.js";
import { type Decision, decideAllocator } from "#src/wasm/override/decide.js";
import { chunkHeader } from "#src/wasm/override/headers.js";
import { type Numbers, plain } from "../support/fixtures.js";
import { type ToyParts, toyAllocator } from "../support/toy-allocator.js";
import { wat } from "../support/wat.js";

const A_SIZE = [1, 8, 12, 13, 24, 100, 1000, 5000, 70000];

/** A piece of Rust's dealloc, as it is inlined in programs: it trusts the word before a block. */
const INLINED = `(func (export "dealloc") (param $p i32) (param $n i32) (local $head i32)
  (local.set $head (i32.load (i32.sub (local.get $p) (i32.const 4))))
  (if (i32.lt_u (i32.and (local.get $head) (i32.const -8)) (i32.add (local.get $n) (i32.const 4)))
    (then (unreachable)))
  (if (i32.eqz (i32.and (local.get $head) (i32.const 3))) (then (unreachable)))
  (call $free (local.get $p)))`;

function decided(parts: ToyParts, options = {}): Decision {
  return decideAllocator(readModule(toyAllocator(parts)), options);
}

/** The roles that get other bodies. */
function replaced({ functions, kept }: Decision): string[] {
  return functions.filter((each) => !kept.has(each.index)).map((each) => each.role.name);
}

test("an allocator that nothing else touches is replaced; what only calls it stays", () => {
  const decision = decided({});
  assert.equal(decision.verdict, "replace");
  assert.equal(decision.header, undefined);
  assert.deepEqual(replaced(decision).sort(), ["free", "malloc", "malloc_usable_size"]);
});

test("a wrapper that fails with another allocator beneath is replaced as well", () => {
  const calloc = `(func $calloc (export "d") (param $k i32) (param $n i32) (result i32)
    (local $p i32)
    (local.set $n (i32.mul (local.get $k) (local.get $n)))
    (local.set $p (call $malloc (local.get $n)))
    (if (i32.eqz (i32.load (i32.sub (local.get $p) (i32.const 4))))
      (then (memory.fill (local.get $p) (i32.const 0) (local.get $n))))
    (local.get $p))`;
  const decision = decided({ calloc });
  assert.equal(decision.verdict, "replace");
  assert.ok(replaced(decision).includes("calloc"), `${replaced(decision)}`);
});

test("who touches the state makes it watch, unless leftovers are accepted", () => {
  const more = `(func (export "mallinfo") (result i32) (i32.load (i32.const 1032)))`;
  const { verdict, because } = decided({ more });
  assert.deepEqual(
    [verdict, because],
    ["watch", "it is proven, but 1 other function is part of it"],
  );
  assert.equal(decided({ more }, { acceptLeftovers: true }).verdict, "replace");
  assert.throws(() => override(toyAllocator({ more })), {
    name: "RangeError",
    message:
      "its allocator cannot be replaced safely: it is proven, but 1 other function is part of it; " +
      "check and run watch it as it is",
  });
  const { report } = override(toyAllocator({ more }), { acceptLeftovers: true });
  assert.ok(report.functions.some((each) => each.fate === "replaced"));
});

test("a function that fails its role makes it watch only if something can call it", () => {
  const named = (exported: string) =>
    wat(`(module (memory 2)
      ${toyText()}
      (func $calloc2 ${exported} (param i32 i32) (result i32) (unreachable)))`);
  assert.equal(decideAllocator(readModule(named('(export "calloc")'))).verdict, "watch");
  assert.equal(decideAllocator(readModule(named(""))).verdict, "replace");
});

/** The text of the toy without its module. */
function toyText(): string {
  return `(global $top (mut i32) (i32.const 65536)) (global $list (mut i32) (i32.const 0))
    (func (export "malloc") (param $n i32) (result i32) (local $p i32)
      (local.set $n (i32.and (i32.add (local.get $n) (i32.const 15)) (i32.const -8)))
      (if (i32.and (i32.ne (global.get $list) (i32.const 0))
          (i32.ge_u (i32.load (global.get $list)) (local.get $n)))
        (then (local.set $p (global.get $list))
          (global.set $list (i32.load offset=8 (local.get $p)))
          (return (i32.add (local.get $p) (i32.const 8)))))
      (local.set $p (global.get $top))
      (global.set $top (i32.add (global.get $top) (i32.add (local.get $n) (i32.const 8))))
      (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16)))
        (then (drop (memory.grow (i32.const 16)))))
      (i32.store (local.get $p) (local.get $n))
      (i32.add (local.get $p) (i32.const 8)))
    (func (export "free") (param $p i32)
      (i32.store (local.get $p) (global.get $list))
      (global.set $list (i32.sub (local.get $p) (i32.const 8))))`;
}

test("code that looks at headers finds dlmalloc's, in every block that there can be", () => {
  const bytes = toyAllocator({ more: INLINED });
  const { verdict, header } = decideAllocator(readModule(bytes));
  assert.equal(verdict, "replace");
  assert.deepEqual(header, { word: "dlmalloc", rust: false });
  const { bytes: changed, report } = override(bytes);
  assert.equal(report.headers, true);
  const exports = plain(changed) as Numbers;
  const call = (name: string, ...args: number[]) => (exports[name] as Call)(...args) >>> 0;
  for (const size of A_SIZE) {
    const blocks = [call("a", size), call("d", 1, size), call("c", call("a", 3), size)];
    for (const ptr of blocks) {
      assert.equal(ptr % 8, 0);
      assert.ok(call("e", ptr) >= size);
      call("dealloc", ptr, size);
    }
  }
});

type Call = (...args: number[]) => number;

test("the word of a header is the size of dlmalloc's chunk, with both flags", () => {
  assert.equal(chunkHeader(0), 16 | 3);
  assert.equal(chunkHeader(12), 16 | 3);
  assert.equal(chunkHeader(13), 24 | 3);
  assert.equal(chunkHeader(20), 24 | 3);
  assert.equal(chunkHeader(1000), 1008 | 3);
});

test("sizes that overflow with a header get null, and leave a block that is resized", () => {
  const exports = plain(override(toyAllocator({ more: INLINED })).bytes) as Numbers;
  const call = (name: string, ...args: number[]) => (exports[name] as Call)(...args) >>> 0;
  for (const size of [0xfffffff0, 0xffffffff, 0xffffff01]) assert.equal(call("a", size), 0);
  const ptr = call("a", 40);
  assert.equal(call("c", ptr, 0xfffffff8), 0);
  call("dealloc", ptr, 40);
});
