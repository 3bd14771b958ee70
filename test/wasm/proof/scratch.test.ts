/** The scratch instance: what a call changes is taken back, and no call runs for ever. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readModule } from "#src/wasm/index.js";
import { isCallable, obstacleOf, scratchRewrite } from "#src/wasm/proof/rewrite.js";
import { Scratch } from "#src/wasm/proof/scratch.js";
import { fixture } from "../support/fixtures.js";
import { wat } from "../support/wat.js";

const FUEL = 10_000;

function opened(text: string): Scratch {
  return Scratch.open(scratchRewrite(readModule(wat(text))));
}

/** The index of the function that a module exports under a name. */
function indexOf(scratch: Scratch, name: string): number {
  const { exports } = scratch.rewritten.module;
  return exports.find((each) => each.name === name)?.index ?? assert.fail(`no export ${name}`);
}

test("scratch: a write by any instruction is taken back", async () => {
  const stores: readonly (readonly [string, string])[] = [
    ["i32.store", "(i32.store (local.get 0) (i32.const -1))"],
    ["i32.store at a page's end", "(i32.store align=1 (local.get 0) (i32.const -1))"],
    ["i32.store with an offset", "(i32.store offset=70000 (local.get 0) (i32.const -1))"],
    ["i64.store8", "(i64.store8 (local.get 0) (i64.const -1))"],
    ["f64.store", "(f64.store (local.get 0) (f64.const 1))"],
    ["v128.store", "(v128.store (local.get 0) (v128.const i64x2 1 1))"],
    ["v128.store32_lane", "(v128.store32_lane 1 (local.get 0) (v128.const i64x2 -1 -1))"],
    ["i32.atomic.rmw.add", "(drop (i32.atomic.rmw.add (local.get 0) (i32.const 1)))"],
    ["memory.fill", "(memory.fill (local.get 0) (i32.const 7) (i32.const 9000))"],
    ["memory.copy", "(memory.copy (local.get 0) (i32.const 16) (i32.const 9000))"],
    ["memory.init", "(memory.init $text (local.get 0) (i32.const 0) (i32.const 5))"],
  ];
  for (const [name, code] of stores) {
    const scratch = opened(`(module (memory 4 4)
      (data (i32.const 16) "0123456789") (data $text "hello")
      (func (export "run") (param i32) ${code}))`);
    const before = scratch.bytes.slice(0, scratch.size);
    const address = name.includes("end") ? 8190 : 12288;
    assert.equal(scratch.call(indexOf(scratch, "run"), FUEL, [address]), 0, name);
    assert.notDeepEqual(scratch.bytes.subarray(0, scratch.size), before, name);
    scratch.restore();
    assert.ok(Buffer.from(scratch.bytes.buffer, 0, scratch.size).equals(before), name);
  }
});

test("scratch: only written pages are restored", async () => {
  const scratch = opened(`(module (memory 100)
    (func (export "run") (i32.store (i32.const 4096) (i32.const 1))
      (i32.store (i32.const 5000000) (i32.const 1))))`);
  scratch.call(indexOf(scratch, "run"), FUEL, []);
  assert.equal(scratch.writtenPages, 2);
  assert.deepEqual(scratch.changes(scratch.size).words, [4096, 5_000_000]);
  scratch.restore();
  assert.equal(scratch.writtenPages, 0);
});

test("scratch: growth is a number that is taken back, and has an end", async () => {
  const scratch = opened(`(module (memory 2 10)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "size") (result i32) (memory.size)))`);
  const [grow, size] = [indexOf(scratch, "grow"), indexOf(scratch, "size")];
  assert.equal(scratch.call(grow, FUEL, [5]), 2);
  assert.equal(scratch.call(size, FUEL, []), 7);
  // A trial may need more than the module's maximum.
  assert.equal(scratch.call(grow, FUEL, [4]), 7);
  assert.equal(scratch.call(grow, FUEL, [2000]), 0xffffffff);
  assert.equal(scratch.call(grow, FUEL, [-1]), 0xffffffff);
  scratch.restore();
  assert.equal(scratch.call(size, FUEL, []), 2);
});

test("scratch: a host that grows the memory is stood in for", async () => {
  const scratch = opened(`(module (import "env" "resize" (func $r (param i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "resize") (param i32) (result i32) (call $r (local.get 0)))
    (func (export "size") (result i32) (memory.size)))`);
  assert.equal(scratch.call(indexOf(scratch, "resize"), FUEL, [300_000]), 1);
  assert.equal(scratch.call(indexOf(scratch, "size"), FUEL, []), 5);
});

test("scratch: mutable globals are taken back, imported ones too", async () => {
  const scratch = opened(`(module (import "env" "g" (global $g (mut i64)))
    (global $h (mut i32) (i32.const 3)) (memory 1)
    (func (export "run") (result i32)
      (global.set $g (i64.add (global.get $g) (i64.const 1)))
      (global.set $h (i32.add (global.get $h) (i32.const 1)))
      (i32.add (i32.wrap_i64 (global.get $g)) (global.get $h))))`);
  const run = indexOf(scratch, "run");
  assert.equal(scratch.call(run, FUEL, []), 5);
  assert.deepEqual(scratch.changes(scratch.size).globals, [1]);
  scratch.restore();
  assert.equal(scratch.call(run, FUEL, []), 5);
});

test("scratch: what would not end is stopped, and the next call works", async () => {
  const scratch = opened(`(module (import "env" "f" (func $f)) (memory 1 1 shared)
    (func (export "loop") (loop $l (br $l)))
    (func $r (export "recurse") (call $r))
    (func (export "import") (loop $l (call $f) (br $l)))
    (func (export "wait") (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
    (func (export "trap") (unreachable))
    (func (export "fine") (result i32) (i32.const 9)))`);
  for (const name of ["loop", "recurse", "import", "wait", "trap"]) {
    assert.equal(scratch.call(indexOf(scratch, name), FUEL, []), undefined, name);
    assert.equal(scratch.call(indexOf(scratch, "fine"), FUEL, []), 9, name);
  }
});

test("scratch: the start function does not run, and every import has a stand-in", async () => {
  const scratch = opened(`(module
    (import "a" "table" (table 2 funcref)) (import "a" "memory" (memory 1))
    (import "a" "global" (global f64)) (import "b" "two" (func (param f64) (result i64)))
    (import "b" "tag" (tag (param i32)))
    (func $start (unreachable)) (start $start)
    (func (export "f") (result i32) (i32.wrap_i64 (call 0 (f64.const 1)))))`);
  assert.equal(scratch.call(indexOf(scratch, "f"), FUEL, []), 0);
});

test("scratch: a snapshot holds what a constructor has written", async () => {
  const scratch = opened(`(module (memory 20)
    (func (export "construct") (i32.store (i32.const 800000) (i32.const 1)))
    (func (export "spoil") (i32.store (i32.const 800000) (i32.const 2))))`);
  scratch.call(indexOf(scratch, "construct"), FUEL, []);
  scratch.snapshot();
  scratch.call(indexOf(scratch, "spoil"), FUEL, []);
  scratch.restore();
  assert.equal(scratch.word(800_000), 1);
});

test("scratch: modules that cannot be tried have a reason", () => {
  assert.match(obstacleOf(readModule(fixture("memory64.wasm"))) ?? "", /64-bit/);
  assert.match(obstacleOf(readModule(fixture("memories.wasm"))) ?? "", /several memories/);
  assert.equal(obstacleOf(readModule(fixture("churn-O2.wasm"))), undefined);
});

test("scratch: only functions of i32 can be called", () => {
  const module = readModule(
    wat(
      "(module (func (param i64)) (func (param i32) (result i32)" +
        " (i32.const 0)) (func (result i32 i32) (i32.const 0) (i32.const 0)))",
    ),
  );
  assert.deepEqual(
    [0, 1, 2].map((index) => isCallable(module, index)),
    [false, true, false],
  );
});
