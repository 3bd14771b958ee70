/** However a program ends, its reports come out, and the exit code says how it has ended. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { cli } from "../support/checkout.js";
import { namedWat } from "../wasm/support/wat.js";
import { type Ended, terrane } from "./terrane.js";

const folder = mkdtempSync(join(tmpdir(), "terrane-endings-"));

/** A program that writes behind its block and then runs `body`. */
function program(name: string, body: string, imports = "", more = ""): string {
  const path = join(folder, `${name}.wasm`);
  const text = `(module ${imports}
    (import "wasi_snapshot_preview1" "proc_raise" (func $raise (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasi_snapshot_preview1" "fd_read"
      (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (tag $error)
    (func $malloc (export "malloc") (param i32) (result i32) (i32.const 4096))
    (func $free (export "free") (param i32))
    (func $mistake (i32.store8 offset=10 (call $malloc (i32.const 10)) (i32.const 1)))
    (func $deep (param i32) (result i32)
      (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
    (func $main (call $mistake) ${body})
    (func (export "_start") (call $main)) ${more})`;
  writeFileSync(path, namedWat(text));
  return path;
}

const MISTAKE = /^heap-overflow: write of 1 byte at 0x2000002a\n {4}at mistake\n/;

/** How programs end: code, what the text says, fields of the JSON. */
const endings: readonly (readonly [string, string, number, RegExp, object])[] = [
  ["trap", "unreachable", 134, /^trap: unreachable at byte 0x\w+ of the file\n {4}at main\n/m, {}],
  [
    "division",
    "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
    134,
    /^trap: divide by zero at/m,
    { trap: "trap: divide by zero" },
  ],
  [
    "deep",
    "(drop (call $deep (i32.const 0)))",
    134,
    /^trap: stack overflow: its calls are nested too deeply at byte 0x\w+ of the file\n {4}at deep\n/m,
    { trap: "trap: stack overflow: its calls are nested too deeply" },
  ],
  [
    "thrown",
    "(throw $error)",
    134,
    /^trap: an exception that nothing catches/m,
    { trap: "trap: an exception that nothing catches" },
  ],
  [
    "raise",
    "(drop (call $raise (i32.const 14)))",
    142,
    /^signal: the program raised SIGALRM$/m,
    { signal: "SIGALRM", trap: null },
  ],
  ["abort", "(drop (call $raise (i32.const 6)))", 134, /raised SIGABRT$/m, { signal: "SIGABRT" }],
  ["xcpu", "(drop (call $raise (i32.const 23)))", 152, /raised SIGXCPU$/m, { signal: "SIGXCPU" }],
];

for (const [name, body, code, text, fields] of endings) {
  test(`check: a program that ends by ${name} has its reports in text and JSON`, () => {
    const path = program(name, body);
    const plain = terrane("check", "--trust", path);
    assert.equal(plain.code, code, plain.err);
    assert.match(plain.err, MISTAKE);
    assert.match(plain.err, text);
    assert.match(plain.err, /\nterrane check: 1 mistake\n$/);
    const json = terrane("check", "--trust", "--json", path);
    const result = JSON.parse(json.out);
    assert.deepEqual([json.code, result.exitCode, result.reports.length], [code, null, 1]);
    for (const [key, value] of Object.entries(fields)) assert.deepEqual(result[key], value, key);
    assert.equal(terrane("run", path).code, code);
  });
}

test("check --json: a trap has its position in the file and its stack", () => {
  const path = program("place", "unreachable");
  const { trapOffset, trapStack } = JSON.parse(terrane("check", "--trust", "--json", path).out);
  assert.equal(readFileSync(path)[trapOffset], 0, "unreachable is opcode 0");
  assert.deepEqual(
    trapStack.map((frame: { function: string }) => frame.function),
    ["main"],
  );
});

test("signals that WASI ignores return, and unknown ones are refused", () => {
  const path = program("ignored", "(call $exit (call $raise (i32.const 16)))");
  assert.equal(terrane("run", path).code, 0);
  const wrong = program("unknown", "(call $exit (call $raise (i32.const 99)))");
  assert.equal(terrane("run", wrong).code, 28);
});

test("a trap in the start function is reported like any other", () => {
  const path = program("start", "", "", "(start $early) (func $early (call $mistake) unreachable)");
  const { code, err } = terrane("check", "--trust", path);
  assert.equal(code, 134, err);
  assert.match(err, MISTAKE);
  assert.match(err, /^trap: unreachable/m);
  assert.equal(terrane("run", path).code, 134);
});

test("an exit in the start function is the exit of the program", () => {
  const path = program("leave", "", "", "(start $early) (func $early (call $exit (i32.const 3)))");
  assert.equal(terrane("check", "--trust", path).code, 3);
  assert.equal(terrane("run", path).code, 3);
});

test("a start function that needs the memory from WASI is refused in one line", () => {
  const read = "(call $read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))";
  const path = program("early", "", "", `(start $early) (func $early (drop ${read}))`);
  for (const command of ["check", "run"]) {
    const { code, err } = terrane(command, "--trust", path);
    assert.deepEqual(
      [code, err],
      [2, `terrane: ${path}: its start function calls WASI, which begins with _start\n`],
    );
  }
});

test("an access far outside of memory is reported with its address", () => {
  const far = program("far", "(drop (i32.load (i32.const 0xfffff000)))");
  const { code, err } = terrane("check", "--trust", far);
  assert.equal(code, 1, err);
  assert.match(err, /^wild-access: read of 4 bytes at 0xfffff000\n {4}at main$/m);
  const range = program("wrap", "(memory.fill (i32.const 8) (i32.const 0) (i32.const -4))");
  assert.match(
    terrane("check", "--trust", range).err,
    /write of 4294967292 bytes at 0x8\n {4}at main$/m,
  );
});

interface Interrupted extends Ended {
  readonly signal: NodeJS.Signals | null;
}

/** Runs a command until `ready` is in its output, then sends the signal. */
function interrupt(
  args: readonly string[],
  signal: NodeJS.Signals,
  ready: (err: string) => boolean,
): Promise<Interrupted> {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ["pipe", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  let isSent = false;
  const look = () => {
    if (isSent || !ready(err)) return;
    isSent = true;
    child.kill(signal);
  };
  child.stdout.on("data", (text) => (out += text));
  child.stderr.on("data", (text) => {
    err += text;
    look();
  });
  const timer = setInterval(look, 100);
  return new Promise((resolve) => {
    child.on("close", (code, by) => {
      clearInterval(timer);
      resolve({ code, out, err, signal: by });
    });
  });
}

const ENDLESS = "(loop (br 0))";

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  test(`check: ${signal} ends a program in a loop, with the reports so far`, async () => {
    const path = program("endless", ENDLESS);
    const ended = await interrupt(["check", "--trust", path], signal, (err) =>
      err.includes("mistake"),
    );
    assert.equal(ended.code, code, ended.err);
    assert.match(ended.err, MISTAKE);
    assert.match(ended.err, new RegExp(`\nterrane check: 1 mistake, ended by ${signal}\n$`));
  });
}

/** Writes a line when it begins its loop, since the reports of JSON come at the end. */
const SAYS = `(data (i32.const 64) "\\50\\00\\00\\00\\06\\00\\00\\00")
  (data (i32.const 80) "ready\\n")
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))`;
const READY = "(drop (call $write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 96)))";

test("check --json: after SIGINT there is one whole object with the reports so far", async () => {
  const path = program("ready", READY + ENDLESS, SAYS);
  const args = ["check", "--trust", "--json", path];
  const { code, out } = await interrupt(args, "SIGINT", (err) => err.includes("ready"));
  const result = JSON.parse(out);
  assert.deepEqual([code, result.signal, result.reports.length], [130, "SIGINT", 1]);
});

test("check: SIGINT ends a program that waits for input", async () => {
  const body = `${READY} (drop (call $read (i32.const 0) (i32.const 64) (i32.const 1)
    (i32.const 96)))`;
  const path = program("waits", body, SAYS);
  const args = ["check", "--trust", path];
  const ended = await interrupt(args, "SIGINT", (err) => err.includes("mistake"));
  assert.ok(ended.code === 130 || ended.signal === "SIGINT", `${ended.code} ${ended.signal}`);
  assert.match(ended.err, /\nterrane check: 1 mistake, ended by SIGINT\n$/);
});

test("run --trace: SIGINT leaves the older file, and nothing beside it", async () => {
  const path = program("traced", `${READY}${ENDLESS}`, SAYS);
  const own = mkdtempSync(join(folder, "trace-"));
  const trace = join(own, "old.trace");
  writeFileSync(trace, "m 1 1\n");
  const args = ["run", "--trace", trace, path];
  const { code } = await interrupt(args, "SIGINT", () => readdirSync(own).length > 1);
  assert.deepEqual(
    [code, readFileSync(trace, "utf8"), readdirSync(own)],
    [130, "m 1 1\n", ["old.trace"]],
  );
});

const FULL = "/dev/full";

test("reports that cannot be written are a failure of their own", {
  skip: !existsSync(FULL),
}, async () => {
  const path = program("full", "");
  const full = openSync(FULL, "w");
  const ended = (args: string[], stdio: ("ignore" | "pipe" | number)[]) =>
    new Promise((resolve) => {
      spawn(process.execPath, [cli, ...args], { stdio }).on("close", resolve);
    });
  assert.equal(await ended(["check", "--trust", path], ["ignore", "ignore", full]), 3);
  assert.equal(await ended(["check", "--trust", "--json", path], ["ignore", full, "ignore"]), 3);
  assert.equal(await ended(["replay", "--list"], ["ignore", full, "ignore"]), 3);
  const dry = ["override", "--trust", "--dry-run", path];
  assert.equal(await ended(dry, ["ignore", full, "ignore"]), 3);
});
