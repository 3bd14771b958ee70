/** `terrane inspect` as a user runs it: text, JSON, the next command, one-line failures. */
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fixture, fixturePath, other, stripped } from "../wasm/support/fixtures.js";
import { toyAllocator } from "../wasm/support/toy-allocator.js";
import { wat } from "../wasm/support/wat.js";
import { terrane } from "./terrane.js";

const folder = mkdtempSync(join(tmpdir(), "terrane-inspect-"));

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** The last line of a report: the command behind "next". */
function nextOf(text: string): string[] {
  return (/\n {2}next +terrane (.*)\n$/.exec(text)?.[1] ?? "").split(" ");
}

test("inspect: a module with names, as text", () => {
  const { code, out, err } = terrane("inspect", fixturePath("churn-O2.wasm"));
  assert.deepEqual([code, err], [0, ""]);
  const rows = [
    /^.*churn-O2\.wasm: 35599 bytes\n/,
    /\n {2}toolchain +language: C99, processed-by: Debian clang 14\.0\.6, WASI\n/,
    /\n {2}functions +7 imported, 67 own, 74 with names\n/,
    /\n {2}memory +128 KiB at the start, no maximum\n/,
    /\n {2}allocator +malloc and free passed every test \(\d+ calls\)\n/,
    /\n {4}malloc +function 13 \(malloc, by name\): proven, a wrapper\n/,
    /\n {4}malloc +function 14 \(dlmalloc, by name\): proven\n/,
    /\n {2}state +bytes \d+ to \d+\n/,
    /\n {2}leftovers +none\n/,
    /\n {2}verdict +replace: it is proven, and nothing else touches its state\n/,
    /\n {2}next +terrane override \S*churn-O2\.wasm -o \S*churn-O2-terrane\.wasm\n$/,
  ];
  for (const each of rows) assert.match(out, each);
});

test("inspect: the next command for a stripped program replaces its allocator", () => {
  const path = file("stripped.wasm", stripped(fixture("churn-O2.wasm")));
  const { out } = terrane("inspect", path);
  assert.match(out, /function 14 \(by .*\): proven\n/);
  const next = nextOf(out);
  assert.deepEqual(next.slice(0, 2), ["override", path]);
  assert.equal(terrane(...next).code, 0);
  const output = next.at(-1) as string;
  const run = terrane("run", "--allocator", "own", output, "2000");
  assert.equal(run.code, 7);
  assert.equal(run.out, terrane("run", "--allocator", "own", path, "2000").out);
});

test("inspect: leftovers make it watch", () => {
  const more = `(func (export "mallinfo") (result i32) (i32.load (i32.const 1024)))`;
  const { out } = terrane("inspect", file("left.wasm", toyAllocator({ more })));
  assert.match(out, /\n {2}leftovers +1\n {4}function \d+ \(mallinfo\): uses 1 of its variables\n/);
  assert.match(out, /\n {2}verdict +watch: it is proven, but 1 other function is part of it\n/);
});

test("inspect: no allocator, one that never frees, and one that only has the names", () => {
  const none = terrane("inspect", file("none.wasm", wat("(module (memory 1))")));
  assert.match(none.out, /\n {2}verdict +none: no function allocates\n$/);
  const bump = terrane("inspect", file("bump.wasm", other("bench/rivals/bump.wasm")));
  assert.match(bump.out, /free .* not proven: freed blocks are not used again\n/);
  assert.match(bump.out, /\n {2}verdict +none: functions allocate, but none was found that frees/);
  const names = wat(`(module (memory 1)
    (func (export "malloc") (param i32) (result i32) (i32.const 8))
    (func (export "free") (param i32)))`);
  const named = terrane("inspect", file("named.wasm", names));
  assert.match(named.out, /malloc .* not proven: a block|malloc .* not proven: blocks overlap/);
  assert.match(named.out, /\n {2}verdict +undecided: functions have the names of an allocator/);
});

test("inspect --json has the same fields for every module", () => {
  const fields = (bytes: Uint8Array) => {
    const { code, out } = terrane("inspect", "--json", file("json.wasm", bytes));
    assert.equal(code, 0);
    const report = JSON.parse(out);
    return { report, keys: [Object.keys(report), Object.keys(report.proof)] };
  };
  const [full, empty] = [fields(fixture("churn-rust.wasm")), fields(wat("(module)"))];
  assert.deepEqual(full.keys, empty.keys);
  assert.equal(full.report.verdict, "replace");
  assert.ok(full.report.toolchain.some((each: string) => /^language: Rust/.test(each)));
  const { index, role, evidence, failure, base } = full.report.proof.functions[0];
  assert.deepEqual(
    [index, role.name, evidence, failure, base],
    [52, "__rust_alloc", "name", null, false],
  );
  assert.deepEqual([empty.report.verdict, empty.report.next], ["none", null]);
});

const failures: readonly (readonly [string, readonly string[], RegExp])[] = [
  ["no such file", ["zork.wasm"], /^terrane: zork\.wasm: cannot be read: no such file\n$/],
  ["a folder", [folder], /cannot be read: it is a folder\n$/],
  ["no module", ["package.json"], /^terrane: package\.json: byte 0x0: not a WebAssembly file/],
  [
    "a damaged module",
    [file("damaged.wasm", fixture("boxes.wasm").subarray(0, 3000))],
    /damaged\.wasm: byte 0x\w+: /,
  ],
  ["no argument", [], /missing required argument 'module'/],
  ["an unknown option", ["--zork", "a.wasm"], /unknown option '--zork'/],
];

for (const [name, args, line] of failures) {
  test(`inspect: ${name} is one line and exit code 2`, () => {
    const { code, out, err } = terrane("inspect", ...args);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, line);
    assert.equal(err.trim().split("\n").length, 1);
  });
}

test("inspect --help says what verdicts mean", () => {
  const { code, out } = terrane("inspect", "--help");
  assert.equal(code, 0);
  for (const verdict of ["replace", "watch", "none", "undecided"]) {
    assert.match(out, new RegExp(`\n {2}${verdict} +\\w`));
  }
});
