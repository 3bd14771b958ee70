/**
 * `terrane check` and `terrane run` as a user runs them: output, exit codes, one-line failures.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { cli } from "../support/checkout.js";
import { fixture, fixturePath, moduleOf, section, stripped } from "../wasm/support/fixtures.js";
import { terrane } from "./terrane.js";

const folder = mkdtempSync(join(tmpdir(), "terrane-wasm-"));
const MISTAKES = fixturePath("mistakes.wasm");

function put(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const STRIPPED = put("stripped.wasm", stripped(fixture("mistakes.wasm")));

test("check: without a mistake, output and exit code are the program's", () => {
  assert.deepEqual(terrane("check", MISTAKES, "correct"), {
    code: 0,
    out: "863\n",
    err: "terrane check: no mistakes, no leaks\n",
  });
  assert.equal(terrane("check", MISTAKES, "no-such-mistake").code, 2);
  assert.equal(terrane("check", MISTAKES, "exit-inside").code, 5);
});

test("check --json prints one object, and the program's output goes to stderr", () => {
  const { code, out, err } = terrane("check", "--json", MISTAKES, "overflow-read");
  const result = JSON.parse(out);
  assert.deepEqual([code, err], [1, "0\n"]);
  assert.deepEqual(Object.keys(result), [
    "program",
    "exitCode",
    "trap",
    "reports",
    "leaks",
    "reachable",
  ]);
  const [report] = result.reports;
  assert.deepEqual(
    [report.kind, report.write, report.size, report.count, report.block.size],
    ["heap-overflow", false, 1, 1, 10],
  );
  assert.deepEqual(report.stack[0], {
    function: "overflow_read",
    file: "mistakes.c",
    line: 38,
    column: 18,
  });
  assert.equal(report.block.allocated[0].line, 36);
  assert.deepEqual([result.exitCode, result.trap, result.leaks], [0, null, []]);
});

test("check --halt ends at the first mistake", () => {
  const { code, out, err } = terrane("check", "--halt", MISTAKES, "overflow-read");
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, /^heap-overflow: read of 1 byte[\s\S]*\nterrane check: 1 mistake\n$/);
});

test("check --no-leaks does not look for leaks", () => {
  const { code, err } = terrane("check", "--no-leaks", MISTAKES, "leak");
  assert.deepEqual([code, err], [0, "terrane check: no mistakes\n"]);
});

test("check --suppressions: known mistakes are not reported", () => {
  const file = put("known.txt", "# known\nheap-overflow:overflow_read\nleak:mistakes.c\n");
  const run = (mistake: string) => terrane("check", "--suppressions", file, MISTAKES, mistake);
  assert.deepEqual(run("overflow-read").code, 0);
  assert.equal(run("overflow-write").code, 1);
  assert.match(run("leak").err, /^indirect-leak: 8 bytes[\s\S]*1 block of 8 bytes leaked\n$/);
});

test("check: a stripped program needs no options", () => {
  const { code, err } = terrane("check", STRIPPED, "use-after-free");
  assert.equal(code, 1);
  assert.match(err, /^use-after-free: write of 4 bytes at 0x\w+\n {4}at function \d+\n/);
  assert.equal(terrane("check", STRIPPED, "correct").code, 0);
});

test("run: output, arguments and the exit code are passed on", () => {
  assert.deepEqual(terrane("run", MISTAKES, "correct"), { code: 0, out: "863\n", err: "" });
  assert.equal(terrane("run", MISTAKES, "exit-inside").code, 5);
  assert.deepEqual(terrane("run", MISTAKES, "trap"), {
    code: 134,
    out: "",
    err: `terrane: ${MISTAKES}: trap: unreachable\n`,
  });
});

test("run --stats prints the same counts for every allocator", () => {
  for (const allocator of ["terrane", "terrane-js", "own"]) {
    const { out, err } = terrane("run", "--stats", "-a", allocator, MISTAKES, "reachable");
    assert.equal(out, "");
    const lines = err.split("\n");
    assert.equal(lines[0], `terrane run (${allocator}):`);
    assert.deepEqual(
      lines.slice(1, 6).map((each) => each.trim().replace(/ +/g, " ")),
      [
        "allocations 4",
        "frees 0",
        /peak live bytes \d+/.exec(err.replace(/ +/g, " "))?.[0],
        "live blocks at end 4",
        /live bytes at end \d+/.exec(err.replace(/ +/g, " "))?.[0],
      ],
    );
  }
});

test("run --trace writes a trace for replay, the same for every allocator", () => {
  const traces = ["terrane", "terrane-js", "own"].map((allocator) => {
    const file = join(folder, `${allocator}.trace`);
    const { code } = terrane("run", "--trace", file, "-a", allocator, MISTAKES, "correct");
    assert.equal(code, 0);
    return readFileSync(file, "utf8");
  });
  assert.equal(traces[0], traces[1]);
  assert.equal(traces[0], traces[2]);
  const lines = (traces[0] as string).split("\n");
  const kinds = [...new Set(lines.map((line) => line[0]))];
  assert.deepEqual(kinds.sort(), ["c", "f", "m", "r", undefined]);
  assert.equal(lines[2], "m 3 6");
  const args = ["replay", "--json", "-r", "1", "-a", "terrane", "--", join(folder, "own.trace")];
  const replayed = JSON.parse(terrane(...args).out);
  assert.equal(replayed[0].operations, lines.length - 1);
});

test("run and check give the program its environment, folders and standard input", () => {
  const program = fixturePath("surroundings.wasm");
  put("note.txt", "a note");
  const flags = ["--env", "A=1", "--env", "B=x=y", "--dir", `${folder}::/notes`];
  for (const command of ["run", "check"]) {
    const args = [cli, command, ...flags, program, "--env", "last"];
    const ended = spawnSync(process.execPath, args, { encoding: "utf8", input: "typed " });
    assert.equal(ended.stdout, `${program}\0--env\0last\0A=1\0B=x=y\0typed a note`);
    assert.equal(ended.status, 3);
  }
});

test("run --max-memory: allocation returns null at the limit, and nothing else", () => {
  const { code, out } = terrane("run", "--max-memory", "512K", MISTAKES, "correct");
  assert.deepEqual([code, out], [0, "863\n"]);
  const small = terrane("run", "--max-memory", "64K", MISTAKES, "correct");
  assert.deepEqual([small.code, small.out], [2, ""]);
  assert.match(
    small.err,
    /mistakes\.wasm: starts with 131072 bytes, more than --max-memory 65536\n$/,
  );
});

test("run: a stripped program runs on our heap, and one without an allocator says so", () => {
  assert.deepEqual(terrane("run", STRIPPED, "correct"), { code: 0, out: "863\n", err: "" });
  const program = fixturePath("surroundings.wasm");
  const { err } = terrane("run", program);
  assert.equal(err, `terrane: ${program} keeps its own allocator: no function allocates\n`);
});

const cut = put("cut.wasm", fixture("mistakes.wasm").subarray(0, 5000));
const text = put("text.wasm", "int main() {}\n");
const library = fixturePath("boxes.wasm");
const bad = put("bad.txt", "leek:main\n");
const type = section(1, 1, 0x60, 0, 0);
const invalid = put(
  "invalid.wasm",
  moduleOf(type, section(3, 1, 0), section(10, 1, 3, 0, 0x1a, 0x0b)),
);

/** Arguments and the line on stderr; the exit code is always 2. */
const FAILURES: readonly (readonly [readonly string[], string | RegExp])[] = [
  [["check"], "missing required argument 'program'"],
  [["run", "none.wasm"], "none.wasm: cannot be read: no such file"],
  [["check", "src"], "src: cannot be read: it is a folder"],
  [["check", text], `${text}: byte 0x0: not a WebAssembly file: it does not begin with \\0asm`],
  [["run", text], `${text}: byte 0x0: not a WebAssembly file: it does not begin with \\0asm`],
  [["check", cut], /cut\.wasm: byte 0x\w+: code section has \d+ bytes, but only \d+ are there$/],
  [["run", invalid], /invalid\.wasm: not valid: .*function #0 failed/],
  [["check", library], `${library}: not a program for WASI: it exports no _start`],
  [["run", library], `${library}: not a program for WASI: it exports no _start`],
  [
    ["check", fixturePath("wasi-threads.wasm")],
    /wasi-threads\.wasm: needs wasi\.thread-spawn, which WASI does not have$/,
  ],
  [
    ["check", fixturePath("memory64.wasm")],
    /memory64\.wasm: byte 0x0: not supported: checking a memory with 64-bit addresses$/,
  ],
  [
    ["check", fixturePath("memories.wasm")],
    /memories\.wasm: byte 0x0: not supported: checking a module with more than one memory$/,
  ],
  [["check", "--zork", MISTAKES], "unknown option '--zork'"],
  [
    ["check", "--function", "malloc=zork", MISTAKES],
    `${MISTAKES}: the module has no function zork`,
  ],
  [
    ["run", "--env", "A", MISTAKES],
    "option '--env <name=value>' argument 'A' is invalid. It must be of the form NAME=VALUE.",
  ],
  [
    ["run", "--max-memory", "1T", MISTAKES],
    "option '--max-memory <bytes>' argument '1T' is invalid. It must be from 64K to 4G.",
  ],
  [
    ["run", "-a", "jemalloc", MISTAKES],
    "option '-a, --allocator <name>' argument 'jemalloc' is invalid. Allowed choices are " +
      "terrane, terrane-js, own.",
  ],
  [["check", "--suppressions", "none.txt", MISTAKES], "none.txt: cannot be read: no such file"],
  [["check", "--suppressions", bad, MISTAKES], `${bad}: line 1: unknown kind "leek"`],
  [["run", "--trace", "/none/t", MISTAKES], /^\/none\/t: cannot be written: ENOENT/],
];

for (const [args, line] of FAILURES) {
  test(`failure: ${args.slice(0, 4).join(" ")}`, () => {
    const { code, out, err } = terrane(...args);
    assert.deepEqual([code, out], [2, ""], err);
    assert.equal(err.split("\n").length, 2, err);
    const message = err.replace(/^terrane: /, "").trimEnd();
    if (typeof line === "string") assert.equal(message, line);
    else assert.match(message, line);
  });
}

test("--help of both commands writes to stdout with examples", () => {
  for (const name of ["check", "run"]) {
    const { code, out } = terrane(name, "--help");
    assert.equal(code, 0);
    assert.match(out, /Examples:[\s\S]*Exit code/);
  }
});
