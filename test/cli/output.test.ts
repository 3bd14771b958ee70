/** Output files take the place of older ones only when they are complete. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { cli } from "../support/checkout.js";
import { fixture, fixturePath } from "../wasm/support/fixtures.js";
import { terrane } from "./terrane.js";

const PROGRAM = fixturePath("churn-O2.wasm");
const MISTAKES = fixturePath("mistakes.wasm");
const folderMake = () => mkdtempSync(join(tmpdir(), "terrane-output-"));

/** Runs a command that may write files of 1 KiB, or 512 bytes, at most, as on a full disk. */
function limited(...args: string[]) {
  const script = 'trap "" XFSZ; ulimit -f 1; exec "$0" "$@"';
  const { status, stderr } = spawnSync("sh", ["-c", script, process.execPath, cli, ...args], {
    encoding: "utf8",
  });
  return { code: status, err: stderr };
}

test("override -o onto its own input replaces the file, and keeps its mode", () => {
  const folder = folderMake();
  const path = join(folder, "own.wasm");
  writeFileSync(path, fixture("churn-O2.wasm"));
  chmodSync(path, 0o751);
  const { code, err } = terrane("override", path, "-o", path);
  assert.deepEqual([code, err, readdirSync(folder)], [0, "", ["own.wasm"]]);
  assert.ok(WebAssembly.validate(readFileSync(path)));
  assert.notDeepEqual(new Uint8Array(readFileSync(path)), fixture("churn-O2.wasm"));
  assert.equal(statSync(path).mode & 0o777, 0o751);
});

test("override -o onto a link replaces the file that it leads to", () => {
  const folder = folderMake();
  const target = join(folder, "target.wasm");
  const link = join(folder, "link.wasm");
  writeFileSync(target, "old");
  symlinkSync("target.wasm", link);
  assert.equal(terrane("override", PROGRAM, "-o", link).code, 0);
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.ok(WebAssembly.validate(readFileSync(target)));
});

test("override -o - writes the module to standard output and the report to standard error", () => {
  const args = [cli, "override", PROGRAM, "-o", "-"];
  const { stdout, stderr, status } = spawnSync(process.execPath, args);
  assert.equal(status, 0);
  assert.ok(WebAssembly.validate(stdout));
  assert.match(String(stderr), /^terrane override \(merge\)/);
});

test("override -o to a device writes to it, and does not replace it", () => {
  assert.equal(terrane("override", PROGRAM, "-o", "/dev/null").code, 0);
  assert.ok(statSync("/dev/null").isCharacterDevice());
});

test("a full disk leaves the older file whole, and nothing beside it", () => {
  const folder = folderMake();
  const path = join(folder, "old");
  for (const args of [
    ["override", PROGRAM, "-o", path],
    ["run", "--trace", path, PROGRAM, "2000"],
  ]) {
    writeFileSync(path, "old");
    const { code, err } = limited(...args);
    assert.equal(code, 3, err);
    assert.match(err, /old: cannot be written: EFBIG: it would exceed the limit of file sizes\n$/);
    assert.deepEqual([readFileSync(path, "utf8"), readdirSync(folder)], ["old", ["old"]]);
  }
});

test("run --trace - writes the trace to standard output, the program's output to stderr", () => {
  const { code, out, err } = terrane("run", "--trace", "-", MISTAKES, "correct");
  assert.deepEqual([code, err], [0, "863\n"]);
  assert.match(out, /^m 1 \d+\n/);
});
