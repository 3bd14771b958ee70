/** Uses of memory that was never written are found at every optimisation level, nothing else is. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { formatReport, instrument, type Kind, type Report } from "#src/wasm/index.js";
import {
  checked,
  fixture,
  fixturePath,
  other,
  plain,
  programOf,
  programRun,
  wasiStub,
} from "../support/fixtures.js";
import { formatter, realChecked, realPrograms, treeSitterParser } from "../support/programs.js";

const uninitialised = true;
const names = [...readFileSync(fixturePath("uninit.c"), "utf8").matchAll(/\{"([\w-]+)", \w+\}/g)];

/** Runs a program of the fixtures with one argument; returns its mistakes. */
function runnerOf(file: string): (argument: string) => readonly Report[] {
  const program = programOf(file, uninitialised);
  return (argument) => {
    return programRun(program, argument).reports;
  };
}

for (const file of ["uninit-O0.wasm", "uninit-O2.wasm", "uninit-Os.wasm"]) {
  test(`${file}: every mistake is found, and what is correct is not reported`, () => {
    const run = runnerOf(file);
    // System calls are tested with the command line.
    for (const [, name] of names.filter(([, each]) => each !== "written-out")) {
      const kinds = new Set<Kind>(run(name as string).map((report) => report.kind));
      assert.equal(kinds.has("uninitialised-read"), name !== "correct", name);
      if (name === "correct") assert.equal(kinds.size, 0);
    }
  });
}

for (const file of ["mistakes.wasm", "operators.wasm"]) {
  test(`${file}: correct code is not reported`, () => {
    assert.deepEqual(runnerOf(file)("correct").map(formatReport), []);
  });
}

test("Rust, AssemblyScript, vectors, threads: same results, no report", () => {
  const env = { abort: () => {}, add: (a: number, b: number) => a + b };
  const calls: readonly (readonly [string, readonly (readonly [string, number])[]])[] = [
    ["boxes.wasm", [["correct", 1000]]],
    [
      "strings.wasm",
      [
        ["start", 0],
        ["correct", 3000],
      ],
    ],
    ["modern.wasm", ["fill", "tables", "vectors", "numbers", "tail", "grow"].map((n) => [n, 9])],
    ["threads.wasm", [["atomics", 4]]],
    ["exceptions.wasm", [["catch", 4]]],
  ];
  for (const [file, list] of calls) {
    const original = plain(fixture(file), { env });
    const { checker, exports } = checked(fixture(file), { uninitialised }, { env });
    for (const [name, argument] of list) {
      assert.equal(exports[name]?.(argument), original[name]?.(argument), `${file} ${name}`);
    }
    assert.deepEqual(checker.reports.map(formatReport), [], file);
  }
});

test("C kernels: same results, no report", () => {
  const { imports } = wasiStub("");
  const bytes = other("bench/wasm/kernels.wasm");
  const { checker, exports } = checked(bytes, { uninitialised }, imports);
  const original = plain(bytes, imports);
  for (const each of [original, exports]) each._initialize?.();
  for (const name of ["sort", "matmul", "tree", "crc", "hash", "text", "bodies", "sieve"]) {
    assert.equal(exports[name]?.(60), original[name]?.(60), name);
  }
  assert.deepEqual(checker.reports.map(formatReport), []);
});

// The larger ones take their time: scripts/soak.mjs runs them all.
const isSoak = Number(process.env.TERRANE_JOB_SIZE ?? 1) > 1;
for (const program of isSoak ? realPrograms : [treeSitterParser, formatter]) {
  test(`${program.name}: same output, no report`, async () => {
    const wanted = await program.run(program.bytes, 1);
    const { checker, result } = await realChecked(program, 1, { uninitialised });
    assert.equal(result, wanted);
    assert.deepEqual(checker.reports.map(formatReport), []);
  });
}

test("an instrumented module has a field that tells whether it follows definedness", () => {
  assert.equal(instrument(fixture("boxes.wasm"), { uninitialised }).uninitialised, true);
  assert.equal(instrument(fixture("boxes.wasm")).uninitialised, false);
});
