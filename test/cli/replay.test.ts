/** `terrane replay` as a user runs it: a process, its output and its exit code. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { cli } from "../support/checkout.js";
import { filesCreate } from "../trace/traces.js";
import { terraneRun } from "./terrane.js";

const put = filesCreate();
const SMALL = put("small.trace", "m 1 100\nm 2 3000\nr 1 3 500\nf 2\nf 3\n");

const NAMES = [
  "terrane",
  "terrane-js",
  "terrane-shared",
  "terrane-shared-js",
  "dlmalloc",
  "tlsf",
  "uint8array",
  "thi.ng",
];

const ROW_KEYS = [
  "trace",
  "allocator",
  "operations",
  "opsPerSecond",
  "peakBytes",
  "peakLiveBytes",
  "fragmentation",
];

test("--json prints one array of results and nothing else", () => {
  const packed = put("packed.trace.gz", gzipSync("m 1 10\nf 1\n"));
  const { code, out, err } = terraneRun(["replay", SMALL, packed, "--json", "--rounds", "1"]);
  assert.equal(code, 0);
  assert.equal(err, "");
  const rows = JSON.parse(out);
  const names = ["terrane", "terrane-js", "terrane-shared", "dlmalloc", "tlsf", "uint8array"];
  assert.deepEqual(
    rows.map((row: { allocator: string }) => row.allocator),
    [...names, ...names],
  );
  for (const row of rows) {
    assert.deepEqual(Object.keys(row), ROW_KEYS);
    for (const key of ROW_KEYS.slice(2)) assert.ok(Number.isFinite(row[key]), key);
  }
  assert.equal(rows[0].trace, SMALL);
  assert.equal(rows[0].operations, 5);
  assert.equal(rows[0].peakLiveBytes, 3500);
  assert.equal(rows[6].trace, packed);
});

const THREADS = put("threads.trace", "m 1 100\nt 1\nr 1 2 300\nm 3 50\nt 0\nf 3\n");

test("--threads plays each thread on a Worker, and every row has their number", () => {
  const args = ["replay", THREADS, SMALL, "--threads", "--rounds", "1"];
  const { code, out, err } = terraneRun([...args, "--json"]);
  assert.deepEqual([code, err], [0, ""]);
  const rows = JSON.parse(out);
  assert.deepEqual(Object.keys(rows[0]), [...ROW_KEYS, "threads"]);
  const facts = rows.map((row: Record<string, unknown>) => [row.allocator, row.threads]);
  assert.deepEqual(facts, [
    ["terrane-shared", 2],
    ["terrane-shared", 1],
  ]);
  const table = terraneRun([...args, "-a", "terrane-shared-js"]).out;
  assert.match(table, /│ threads │ terrane-shared-js, 2 threads │/);
  assert.match(table, /│ small {3}│ terrane-shared-js, 1 thread {2}│/);
});

test("--threads: one thread without memory ends the others, which wait for it", () => {
  const file = put("wide.trace", "m 1 40000000\nt 1\nf 1\nm 2 70000000\nt 0\nf 2\n");
  const args = ["--wasm-max-mem-pages=1024", cli, "replay", "--threads", file];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const fault = "thread 1: operation 2: out of memory for block 2 of 70000000 bytes";
  assert.equal(stderr, `terrane: ${file}: terrane-shared: ${fault}\n`);
  assert.deepEqual([status, stdout], [1, ""]);
});

test("the table names traces and allocators, without colours in a file", () => {
  const args = ["replay", SMALL, "--rounds", "1", "--allocator", "dlmalloc,tlsf", "terrane"];
  const { code, out, err } = terraneRun(args, { CI: "true" });
  assert.equal(code, 0);
  assert.equal(err, "");
  for (const text of ["small", "dlmalloc", "tlsf", "terrane", "Mops/s", "fragmentation"]) {
    assert.ok(out.includes(text), text);
  }
  assert.ok(!out.includes("uint8array │"));
  assert.ok(!out.includes("\x1b["));
});

test("-- ends the names of allocators", () => {
  const args = ["replay", "--json", "-r", "1", "--allocator", "tlsf", "--", SMALL];
  const { code, out } = terraneRun(args);
  assert.equal(code, 0);
  assert.equal(JSON.parse(out).length, 1);
});

test("--list names every allocator with a sentence", () => {
  const { code, out, err } = terraneRun(["replay", "--list"]);
  assert.deepEqual([code, err], [0, ""]);
  const names = out
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[0]);
  assert.deepEqual(names, NAMES);
  assert.deepEqual(out.split("\n").filter((line) => line.endsWith("(on request)")).length, 2);
});

test("--help and --version write to standard output", () => {
  const main = terraneRun(["--help"]);
  assert.equal(main.code, 0);
  assert.match(main.out, /replay .*\n[\s\S]*Example/);
  const replay = terraneRun(["replay", "--help"]);
  assert.equal(replay.code, 0);
  assert.match(replay.out, /Examples:[\s\S]*thi\.ng[\s\S]*Exit code/);
  const version = terraneRun(["--version"]);
  assert.equal(version.code, 0);
  assert.match(version.out, /^\d+\.\d+\.\d+\n$/);
});

test("without a command the help goes to standard error", () => {
  const { code, out, err } = terraneRun([]);
  assert.deepEqual([code, out], [2, ""]);
  assert.match(err, /^Usage: terrane/);
});

const KNOWN = `(known: ${NAMES.join(", ")})`;
const SHARED = "(choose one of: terrane-shared, terrane-shared-js)";
const ROUNDS = "option '-r, --rounds <n>' argument";
const ROUNDS_RULE = "is invalid. It must be a whole number from 1 to 1000.";
const broken = put("broken.trace", "m 1 8\nf 1\nf 1\n");
const huge = put("huge.trace", "m 1 2147483647\nm 2 2147483647\nm 3 2147483647\n");

/** Arguments, exit code, the line on stderr. */
const FAILURES: readonly (readonly [readonly string[], number, string])[] = [
  [["rpelay"], 2, "unknown command 'rpelay' (Did you mean replay?)"],
  [["bogus"], 2, "unknown command 'bogus'"],
  [["--bogus"], 2, "unknown option '--bogus'"],
  [["replay"], 2, "no trace given (see terrane replay --help)"],
  [["replay", SMALL, "--bogus"], 2, "unknown option '--bogus'"],
  [["replay", SMALL, "--allocator"], 2, "option '-a, --allocator <name...>' argument missing"],
  [["replay", SMALL, "--allocator", "jemalloc"], 2, `unknown allocator "jemalloc" ${KNOWN}`],
  [["replay", SMALL, "--allocator", "tlsf,nope"], 2, `unknown allocator "nope" ${KNOWN}`],
  [["replay", "--allocator", "tlsf", SMALL], 2, `unknown allocator "${SMALL}" ${KNOWN}`],
  [["replay", SMALL, "--threads", "-a", "tlsf"], 2, `threads cannot share "tlsf" ${SHARED}`],
  [["replay", SMALL, "--rounds", "0"], 2, `${ROUNDS} '0' ${ROUNDS_RULE}`],
  [["replay", SMALL, "--rounds", "1.5"], 2, `${ROUNDS} '1.5' ${ROUNDS_RULE}`],
  [["replay", SMALL, "--rounds", "many"], 2, `${ROUNDS} 'many' ${ROUNDS_RULE}`],
  [["replay", "no-such.trace"], 2, "no-such.trace: cannot be read: no such file"],
  [["replay", SMALL, "src"], 2, "src: cannot be read: it is a folder"],
  [
    ["replay", SMALL, broken],
    2,
    `${broken}:3: ID 1 is not live: it was freed or reallocated before`,
  ],
  [
    ["replay", huge, "--allocator", "dlmalloc"],
    1,
    `${huge}: dlmalloc: operation 1: out of memory for block 1 of 2147483647 bytes`,
  ],
];

for (const [args, code, line] of FAILURES) {
  test(`failure: ${args.slice(0, 4).join(" ")} (exit ${code})`, () => {
    assert.deepEqual(terraneRun(args), { code, out: "", err: `terrane: ${line}\n` });
  });
}

test("an allocator that traps is reported in one line", () => {
  const { code, out, err } = terraneRun(["replay", huge, "--allocator", "tlsf"]);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, /^terrane: .*huge\.trace: tlsf: operation \d: [^\n]+\n$/);
});

test("a closed pipe ends the program without an error", async () => {
  const child = spawn(process.execPath, [cli, "replay", SMALL, "--rounds", "1"]);
  child.stdout.destroy();
  let err = "";
  child.stderr.on("data", (text) => (err += text));
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.deepEqual([code, err], [0, ""]);
});

test("an interrupt ends the program and prints nothing", async () => {
  const args = [cli, "replay", "bench/traces/python.trace.gz", "--rounds", "1000"];
  const child = spawn(process.execPath, args);
  let text = "";
  child.stdout.on("data", (part) => (text += part));
  child.stderr.on("data", (part) => (text += part));
  setTimeout(() => child.kill("SIGINT"), 700);
  const signal = await new Promise((resolve) => child.on("close", (_, name) => resolve(name)));
  assert.deepEqual([signal, text], ["SIGINT", ""]);
});
