/** Programs that keep their allocator under the checker: frees are delayed, mistakes still found. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Checker, instrument, type Report } from "#src/wasm/index.js";
import { fixture, stripped } from "../support/fixtures.js";
import { toyAllocator } from "../support/toy-allocator.js";

/** A function that reads the allocator's variables, so that it cannot be replaced. */
const LEFTOVER = `(func (export "mallinfo") (result i32) (i32.load (i32.const 1032)))
  (global $kept (mut i32) (i32.const 0))
  (func (export "keep") (param i32) (global.set $kept (local.get 0)))
  (func (export "set") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "get") (param i32) (result i32) (i32.load (local.get 0)))`;

type Call = (...args: number[]) => number;

function watched(quarantine?: number) {
  const reports: Report[] = [];
  const instrumented = instrument(toyAllocator({ more: LEFTOVER }));
  assert.equal(instrumented.mode, "watch");
  assert.equal(instrumented.because, "it is proven, but 1 other function is part of it");
  const onReport = (report: Report) => reports.push(report);
  const checker = new Checker(instrumented, { onReport, javascript: false, quarantine });
  const module = new WebAssembly.Module(instrumented.bytes);
  const instance = new WebAssembly.Instance(module, checker.importObject());
  checker.attach(instance);
  const calls = instance.exports as Record<string, Call>;
  const call = (name: string, ...args: number[]) => calls[name]?.(...args) as number;
  return { checker, reports, call, kinds: () => reports.map((each) => each.kind) };
}

test("the program's own allocator serves it, and correct use has no report", () => {
  const { call, reports, checker } = watched();
  const ptr = call("a", 40);
  assert.ok(ptr < checker.instrumented.layout.heapStart);
  call("set", ptr, 7);
  const moved = call("c", ptr, 4000);
  assert.equal(call("get", moved), 7);
  call("b", moved);
  call("b", 0);
  assert.equal(call("get", call("d", 10, 10)), 0);
  assert.deepEqual(reports, []);
});

test("uses of freed blocks, frees and resizes of freed blocks are reported", () => {
  const { call, kinds, reports } = watched();
  const ptr = call("a", 40);
  call("b", ptr);
  call("get", ptr + 8);
  call("b", ptr);
  call("c", ptr, 100);
  assert.deepEqual(kinds(), ["use-after-free", "double-free", "realloc-after-free"]);
  assert.equal(reports[0]?.block?.size, 40);
  assert.match(reports[0]?.where ?? "", /8 bytes into/);
});

test("freed blocks go back when the quarantine is full, and are used again", () => {
  const { call, reports } = watched(1000);
  const places = new Set<number>();
  for (let i = 0; i < 500; i++) {
    const ptr = call("a", 100);
    call("set", ptr, i);
    places.add(ptr);
    call("b", ptr);
  }
  assert.ok(places.size > 5 && places.size < 30, `${places.size} places`);
  assert.deepEqual(reports, []);
});

test("pointers that are not known are passed on: pieces of the allocator may have made them", () => {
  const { call, reports } = watched();
  const ptr = call("a", 40);
  call("set", 5000 - 8, 5);
  call("b", 5000);
  assert.equal(call("a", 20), 5000);
  assert.notEqual(ptr, 5000);
  assert.deepEqual(reports, []);
});

test("blocks that nothing leads to are leaks; those that stale memory leads to may be", () => {
  const { call, checker } = watched();
  call("keep", call("a", 50));
  call("a", 70);
  const lost = call("a", 90);
  const stale = call("a", 16);
  call("set", stale, lost);
  call("b", stale);
  const { reports, reachable } = checker.leaks();
  const found = reports.map(({ kind, size }) => `${kind} ${size}`);
  assert.deepEqual(found.sort(), ["leak 70", "possible-leak 90"]);
  assert.equal(reachable.blocks, 1);
});

test("a program without an allocator is checked for accesses outside of its memory", () => {
  const { mode, because, functions } = instrument(fixture("modern.wasm"));
  assert.deepEqual([mode, because, functions.length], ["none", "no function allocates", 0]);
});

test("a stripped program is checked as well as one with names", () => {
  const { mode, functions } = instrument(stripped(fixture("mistakes.wasm")));
  assert.equal(mode, "replace");
  const roles = functions.map((each) => each.role.action);
  for (const action of ["alloc", "free", "realloc"]) assert.ok(roles.includes(action as "free"));
});
