/** What bounds a checked program and its checker: memory, sizes of functions, repeated mistakes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { instrument, ModuleError } from "#src/wasm/index.js";
import { checked, fixture, leb, section } from "../support/fixtures.js";
import { namedWat } from "../support/wat.js";

const ALLOCATOR = `(func $malloc (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func $free (export "free") (param i32))`;

/** How many blocks of 64 KiB malloc returns. */
const COUNT = `(func (export "count") (result i32) (local i32)
  (block (loop
    (br_if 1 (i32.eqz (call $malloc (i32.const 65536))))
    (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br 0)))
  (local.get 0))`;

test("malloc returns 0 where the module's own memory would end", () => {
  const bytes = namedWat(`(module (memory (export "memory") 2 100) ${ALLOCATOR} ${COUNT})`);
  const { checker, exports } = checked(bytes);
  assert.equal(exports.count?.(), 99);
  assert.equal(checker.refused, undefined);
  assert.equal(checked(bytes, { maxMemory: 10 * 65536 }).exports.count?.(), 9);
  const limit = /^the module starts with 131072 bytes, more than 65536$/;
  assert.throws(() => instrument(bytes, { maxMemory: 65536 }), { message: limit });
});

test("when the checker's own heap is full it says so", () => {
  const bytes = namedWat(`(module (memory (export "memory") 2) ${ALLOCATOR} ${COUNT})`);
  const { checker, exports } = checked(bytes, { heapBytes: 2 ** 22 });
  assert.ok((exports.count?.() as number) < 64);
  assert.equal(checker.refused, 65536);
});

test("a mistake that is repeated costs little, and is counted", () => {
  const bytes = namedWat(`(module (memory (export "memory") 2) ${ALLOCATOR}
    (func (export "repeat") (param i32) (local i32)
      (local.set 1 (call $malloc (i32.const 10)))
      (loop
        (i32.store8 offset=10 (local.get 1) (i32.const 1))
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))`);
  const { checker, exports } = checked(bytes);
  const start = performance.now();
  exports.repeat?.(1_000_000);
  const time = performance.now() - start;
  assert.deepEqual([checker.reports.length, checker.reports[0]?.count], [1, 1_000_000]);
  // A stack for each took 40 seconds.
  assert.ok(time < 5000, `${time} ms`);
});

test("another caller of a place that is known has a report of its own", () => {
  const bytes = namedWat(`(module (memory (export "memory") 2) ${ALLOCATOR}
    (func $store (param i32) (i32.store8 offset=10 (local.get 0) (i32.const 1)))
    (func $one (param i32) (call $store (local.get 0)) (nop))
    (func $two (param i32) (call $store (local.get 0)) (nop))
    (func (export "both") (local i32)
      (local.set 0 (call $malloc (i32.const 10)))
      (call $one (local.get 0)) (call $two (local.get 0))))`);
  const { checker, exports } = checked(bytes);
  exports.both?.();
  assert.deepEqual(
    checker.reports.map((report) => report.stack[1]?.function),
    ["one", "two"],
  );
});

/** Functions malloc, free, large (loads from so many addresses) and small (a mistake). */
function largeModule(loads: number): Uint8Array<ArrayBuffer> {
  const code: number[] = [];
  for (let i = 0; i < loads; i++) code.push(0x20, 0, 0x28, 2, ...leb(i * 4), 0x1a);
  const body = (...bytes: number[]) => joined(leb(bytes.length + 2), [0], bytes, [0x0b]);
  const large = joined(leb(code.length + 2), [0], code, [0x0b]);
  const small = body(0x41, 10, 0x10, 0, 0x2d, 0, 10, 0x1a);
  const bodies = joined([4], body(0x41, 0x80, 0x20), body(), large, small);
  const name = (text: string, index: number) => [text.length, ...Buffer.from(text), 0, index];
  const names = [...name("malloc", 0), ...name("free", 1), ...name("large", 2)];
  return Uint8Array.from(
    joined(
      [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, 3, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 0, 0x60, 0, 0),
      section(3, 4, 0, 1, 1, 2),
      section(5, 1, 0, 100),
      section(7, 4, ...names, ...name("small", 3)),
      joined([10], leb(bodies.length), bodies),
    ),
  );
}

function joined(...parts: readonly (readonly number[])[]): number[] {
  return parts.flat();
}

test("a function that would be too large for the engine is left unchecked", () => {
  const bytes = largeModule(200_000);
  assert.ok(WebAssembly.validate(bytes));
  const { checker, exports } = checked(bytes);
  assert.deepEqual(checker.instrumented.unchecked, [2]);
  exports.small?.();
  assert.deepEqual(
    checker.reports.map((report) => report.kind),
    ["heap-overflow"],
  );
  assert.deepEqual(instrument(largeModule(1000)).unchecked, []);
});

test("damaged code is refused as damaged, with uninitialised too", () => {
  const bytes = fixture("boxes.wasm");
  const step = Math.floor(bytes.length / 30);
  let refused = 0;
  for (let at = 200; at < bytes.length; at += step) {
    const damaged = bytes.slice();
    damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
    try {
      instrument(damaged, { uninitialised: true });
    } catch (error) {
      assert.ok(error instanceof ModuleError, `byte ${at}: ${error}`);
      refused++;
    }
  }
  assert.ok(refused > 5, `${refused}`);
});

test("functions that exit is to call are not a leak, however many there are", () => {
  const bytes = namedWat(`(module (memory (export "memory") 2) ${ALLOCATOR}
    (func $__cxa_atexit (result i32) (call $malloc (i32.const 260)))
    (func $other (result i32) (call $malloc (i32.const 10)))
    (func (export "register") (drop (call $__cxa_atexit)) (drop (call $other))))`);
  const { checker, exports } = checked(bytes);
  exports.register?.();
  assert.deepEqual(
    checker.leaks().reports.map((report) => report.size),
    [10],
  );
});
