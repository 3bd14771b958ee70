/** The checker as a library: other languages, options, and correct programs. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  CheckHalt,
  formatReport,
  instrument,
  ModuleError,
  type Report,
  readSuppressions,
} from "#src/wasm/index.js";
import { checked, fixture, fixturePath, type Numbers, other, plain } from "../support/fixtures.js";
import { toyAllocator } from "../support/toy-allocator.js";

const ADD = { env: { add: (a: number, b: number) => a + b } };
const ABORT = {
  env: {
    abort: () => {
      throw new Error("abort");
    },
  },
};

/** Runs an export of a fixture; the reports as text. */
function reportsOf(name: string, run: (exports: Numbers) => unknown, options = {}): string[] {
  const { checker, exports } = checked(fixture(name), options, ABORT);
  run(exports);
  return [...checker.reports, ...checker.leaks().reports].map(formatReport);
}

test("Rust: a correct program has no reports, and the same result", () => {
  const { checker, exports } = checked(fixture("boxes.wasm"));
  assert.equal(exports.correct?.(1000), plain(fixture("boxes.wasm")).correct?.(1000));
  assert.deepEqual(checker.reports, []);
  assert.deepEqual(checker.leaks(), { reports: [], reachable: { blocks: 0, bytes: 0 } });
});

test("Rust: overflow, use after free, a wrong layout and a leak", () => {
  assert.deepEqual(
    reportsOf("boxes.wasm", (exports) => exports.overflow?.(4)),
    [
      "heap-overflow: read of 4 bytes at 0x20000030\n    at overflow\n" +
        "  0 bytes behind the end of a block of 16 bytes at 0x20000020\n" +
        "  allocated by __rust_alloc\n    at overflow",
    ],
  );
  const [afterFree] = reportsOf("boxes.wasm", (exports) => exports.after_free?.(5));
  assert.match(afterFree as string, /^use-after-free: read of 4 bytes at 0x20000024\n/);
  assert.match(afterFree as string, /freed by __rust_dealloc\n {4}at after_free$/);
  const [layout] = reportsOf("boxes.wasm", (exports) => exports.wrong_layout?.(8));
  assert.match(layout as string, /^size-mismatch: __rust_dealloc of 16 bytes at 0x20000020\n/);
  const [leak] = reportsOf("boxes.wasm", (exports) => exports.leak?.(1));
  assert.match(leak as string, /^leak: 40 bytes in 1 block, allocated by __rust_alloc\n/);
});

test("AssemblyScript: the collector runs, and a read outside a block is found with its line", () => {
  const sourceMap = readFileSync(fixturePath("strings.wasm.map"), "utf8");
  const original = plain(fixture("strings.wasm"), ABORT);
  original.start?.();
  const { checker, exports } = checked(fixture("strings.wasm"), { sourceMap }, ABORT);
  exports.start?.();
  assert.equal(exports.correct?.(5000), original.correct?.(5000));
  assert.deepEqual(checker.reports, []);
  exports.overflow?.(4);
  assert.match(
    formatReport(checker.reports[0] as unknown as Report),
    /^heap-overflow: read of 4 bytes at 0x\w+\n {4}at strings\/overflow \(strings\.ts:10:10\)\n/,
  );
});

test("vectors, bulk operations, tables, growth and threads work as before", () => {
  const { checker, exports } = checked(fixture("modern.wasm"), {}, ADD);
  const original = plain(fixture("modern.wasm"), ADD);
  for (const name of ["fill", "tables", "vectors", "numbers", "tail", "grow", "grow"]) {
    assert.equal(exports[name]?.(9), original[name]?.(9), name);
  }
  const threads = checked(fixture("threads.wasm"));
  assert.equal(threads.exports.atomics?.(4), plain(fixture("threads.wasm")).atomics?.(4));
  const exceptions = checked(fixture("exceptions.wasm"));
  assert.equal(exceptions.exports.catch?.(4), 5);
  assert.deepEqual([...checker.reports, ...threads.checker.reports], []);
});

test("memory grows as far as that of the original", () => {
  const { exports } = checked(fixture("threads.wasm"));
  assert.equal(exports.atomics?.(1), plain(fixture("threads.wasm")).atomics?.(1));
  const { checker, exports: modern } = checked(fixture("modern.wasm"), {}, ADD);
  modern.grow?.(70_000);
  assert.deepEqual(checker.reports, []);
  assert.equal(modern.grow?.(0), 1 + 77);
});

test("an access behind the memory halts the program, like a trap", () => {
  const { checker, exports } = checked(fixture("inline-dwarf4.wasm"));
  assert.throws(() => exports.go?.(0x100000, 0), CheckHalt);
  assert.equal(checker.reports[0]?.kind, "wild-access");
});

test("halt throws at the first mistake; onReport is called once for each call site", () => {
  const heard: string[] = [];
  const onReport = (report: Report) => heard.push(report.kind);
  const { checker, exports } = checked(fixture("boxes.wasm"), { onReport });
  for (let i = 0; i < 10; i++) exports.overflow?.(4);
  assert.deepEqual([heard, checker.reports[0]?.count], [["heap-overflow"], 10]);
  const halting = checked(fixture("boxes.wasm"), { halt: true });
  assert.throws(() => halting.exports.overflow?.(4), {
    name: "CheckHalt",
    message: "heap-overflow: read of 4 bytes at 0x20000030",
  });
});

test("suppressed mistakes are not reported", () => {
  const run = (text: string) => {
    const suppressions = readSuppressions(text);
    return reportsOf("boxes.wasm", (exports) => exports.overflow?.(4), { suppressions }).length;
  };
  assert.equal(run("heap-overflow:over*"), 0);
  assert.equal(run("# all of it\n*:overflow # known\n"), 0);
  assert.equal(run("leak:overflow"), 1);
  assert.equal(run("heap-overflow:over"), 1);
});

test("lines that are not suppressions are refused", () => {
  assert.throws(() => readSuppressions("leak:a\nleak"), {
    name: "RangeError",
    message: "line 2: not of the form KIND:PATTERN",
  });
  assert.throws(() => readSuppressions("leek:a"), { message: 'line 1: unknown kind "leek"' });
});

test("quarantine: a freed block is recognised until its memory is used again", () => {
  const { checker, exports } = checked(fixture("boxes.wasm"), { quarantine: 4096 });
  exports.correct?.(20_000);
  exports.correct?.(20_000);
  assert.equal(exports.after_free?.(5), 5);
  assert.deepEqual(
    checker.reports.map((report) => report.kind),
    ["use-after-free"],
  );
});

test("a heap that is too small returns null, and the program is told so", () => {
  const bytes = other("bench/wasm/kernels.wasm");
  const small = instrument(bytes, { heapBytes: 2 ** 20 });
  assert.equal(small.layout.shadowStart - small.layout.heapStart, 2 ** 20);
  assert.throws(() => instrument(bytes, { heapBytes: 2 ** 32 }), {
    name: "ModuleError",
    message: /^byte 0x0: not supported: a program of \d+ bytes and a checked heap of 4294967296$/,
  });
});

test("modules that cannot be checked are refused clearly", () => {
  const refused: readonly (readonly [string, string])[] = [
    ["memory64.wasm", "checking a memory with 64-bit addresses"],
    ["memories.wasm", "checking a module with more than one memory"],
  ];
  for (const [name, text] of refused) {
    assert.throws(
      () => instrument(fixture(name)),
      (error: unknown) => error instanceof ModuleError && error.message.endsWith(text),
    );
  }
  const empty = Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0]);
  assert.throws(() => instrument(empty), { message: /checking a module without memory$/ });
});

test("C kernels have the same results, and no reports", () => {
  const names = ["args_get", "args_sizes_get", "fd_close", "fd_fdstat_get", "fd_seek", "fd_write"];
  const stubs = Object.fromEntries(names.map((name) => [name, () => 0]));
  const imports = { wasi_snapshot_preview1: { ...stubs, proc_exit: () => {} } };
  const bytes = other("bench/wasm/kernels.wasm");
  const original = plain(bytes, imports);
  const { checker, exports } = checked(bytes, {}, imports);
  for (const each of [original, exports]) each._initialize?.();
  for (const name of ["sort", "matmul", "tree", "crc", "hash", "text", "bodies", "sieve"]) {
    assert.equal(exports[name]?.(60), original[name]?.(60), name);
  }
  assert.deepEqual([...checker.reports, ...checker.leaks().reports], []);
});

test("a program that looks at the header of a block is not blamed, and one that writes it is", () => {
  const more = `(func (export "head") (param i32) (result i32)
      (i32.load (i32.add (local.get 0) (i32.const -4))))
    (func (export "mask") (param i32 i32) (result i32)
      (call $free (local.get 1))
      (i32.and (i32.load (i32.sub (local.get 0) (i32.const 4))) (i32.const -8)))
    (func (export "smash") (param i32)
      (i32.store (i32.sub (local.get 0) (i32.const 4)) (i32.const 1)))`;
  const { checker, exports } = checked(toyAllocator({ more }), { trust: false });
  assert.equal(checker.instrumented.headers, true);
  const call = (name: string, ...args: number[]) => exports[name]?.(...args);
  const ptr = call("a", 20) as number;
  assert.equal(call("head", ptr), 24 | 3);
  const kinds = () => checker.reports.map((each) => each.kind);
  assert.equal(kinds().length, 0);
  call("smash", ptr);
  assert.deepEqual(kinds(), ["heap-underflow"]);
});
