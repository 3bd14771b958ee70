/** Modules from anyone: what they name is printed safely, and only files beside them are read. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { cli } from "../support/checkout.js";
import { fixture, leb } from "../wasm/support/fixtures.js";
import { namedWat } from "../wasm/support/wat.js";
import { terrane } from "./terrane.js";

const folder = mkdtempSync(join(tmpdir(), "terrane-foreign-"));
const inner = join(folder, "inner");
mkdirSync(inner);

/** The fixture of AssemblyScript or C with another source map. */
function named(url: string): string {
  const text = (each: string) => [...leb(Buffer.from(each).length), ...Buffer.from(each)];
  const body = [...text("sourceMappingURL"), ...text(url)];
  const path = join(inner, "program.wasm");
  const section = Uint8Array.from([0, ...leb(body.length), ...body]);
  writeFileSync(path, Buffer.concat([namedWat(PROGRAM), section]));
  return path;
}

const PROGRAM = `(module (memory (export "memory") 1)
  (func $malloc (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func $free (export "free") (param i32))
  (func $main (i32.store8 offset=10 (call $malloc (i32.const 10)) (i32.const 1)))
  (func (export "_start") (call $main)))`;

const SECRET = "root of all secrets";
writeFileSync(join(folder, "secret.map"), SECRET);
writeFileSync(join(inner, "secret.map"), SECRET);
symlinkSync(join(folder, "secret.map"), join(inner, "link.map"));
mkdirSync(join(inner, "folder.map"));

/** URLs of source maps that are not used, and the reasons. */
const refused: readonly (readonly [string, string])[] = [
  [join(folder, "secret.map"), "it is outside of the module's folder"],
  [`file://${join(folder, "secret.map")}`, "it is outside of the module's folder"],
  ["../secret.map", "it is outside of the module's folder"],
  ["link.map", "it is outside of the module's folder"],
  ["/dev/zero", "it is outside of the module's folder"],
  ["none.map", "no such file"],
  ["folder.map", "it is not a regular file"],
  ["pipe.map", "it is not a regular file"],
  ["secret.map", "not a source map of version 3"],
  ["https://example.com/a.map", "only files are read"],
  ["data:application/json;base64,bnVsbA==", "not a source map of version 3"],
];
spawnSync("mkfifo", [join(inner, "pipe.map")]);

for (const [url, reason] of refused) {
  test(`a source map that is not used is a note, and the reports come: ${url}`, () => {
    const { code, err } = terrane("check", "--trust", named(url));
    assert.equal(code, 1, err);
    assert.match(err, /^heap-overflow: write of 1 byte/);
    const where = url.startsWith("data:") ? "in the module" : url;
    assert.ok(err.includes(`\nnote: source map ${where} is not used: ${reason}\n`), err);
    assert.ok(!err.includes("secrets"), "nothing of a file that is not a source map is shown");
  });
}

test("names are printed without control characters, and not too long", () => {
  const path = join(folder, "names.wasm");
  const evil = `\\1b[2J\\0d\\e2\\80\\ae${"x".repeat(2000)}`;
  const text = PROGRAM.replaceAll("$main", `$"main${evil}"`);
  writeFileSync(path, namedWat(text));
  for (const args of [
    ["check", "--trust"],
    ["check", "--trust", "--json"],
    ["override", "--trust", "--dry-run"],
  ]) {
    const { out, err } = terrane(...args, path);
    assert.doesNotMatch(out + err, /[^\P{Cc}\n]|\p{Cf}/u);
    assert.ok((out + err).split("\n").every((line) => line.length < 700));
  }
  assert.match(terrane("check", "--trust", path).err, /at main\\u\{1b\}\[2J\\u\{d\}\\u\{202e\}xxx/);
});

test("check: a module whose code is not valid is refused in one line, with --uninit too", () => {
  const bytes = fixture("boxes.wasm");
  const path = join(folder, "damaged.wasm");
  for (let at = 200; at < bytes.length; at += 97) {
    const damaged = bytes.slice();
    damaged[at] = (damaged[at] as number) ^ 0x55;
    writeFileSync(path, damaged);
    if (WebAssembly.validate(damaged)) continue;
    const { code, err } = terrane("check", "--uninit", path);
    assert.deepEqual([code, err.split("\n").length], [2, 2], err);
    if (at > 1500) break;
  }
});

test("check: without names but with debug information, a note says how that comes", () => {
  const path = join(folder, "no-names.wasm");
  const bytes = fixture("mistakes.wasm");
  const at = Buffer.from(bytes).lastIndexOf("\x04name");
  const renamed = bytes.slice();
  renamed.set(Buffer.from("\x04gone"), at);
  writeFileSync(path, renamed);
  const { code, err } = terrane("check", path, "correct");
  assert.equal(code, 0);
  assert.match(
    err,
    /^note: it has debug information but no names.*wasm-opt.*compile with -c and link apart/,
  );
});

test("replay reads standard input as -, and passes over a byte order mark", () => {
  for (const mark of ["", "\ufeff"]) {
    const args = [cli, "replay", "--json", "-r", "1", "-a", "terrane", "--", "-"];
    const input = `${mark}m 1 8\nf 1\n`;
    const { stdout, status } = spawnSync(process.execPath, args, { encoding: "utf8", input });
    assert.deepEqual([status, JSON.parse(stdout)[0].operations], [0, 2]);
  }
});
