/** `terrane override` as a user runs it: files, output, exit codes, one-line failures. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fixture, fixturePath } from "../wasm/support/fixtures.js";
import { terrane } from "./terrane.js";

const folder = mkdtempSync(join(tmpdir(), "terrane-override-"));
const PROGRAM = fixturePath("churn-O2.wasm");
const STRIPPED = fixturePath("churn-Os-stripped.wasm");

test("override: the new file runs alone, and the documentation shows what is printed", () => {
  const path = join(folder, "new.wasm");
  const { code, out, err } = terrane("override", PROGRAM, "-o", path);
  assert.deepEqual([code, err], [0, ""]);
  const page = readFileSync("docs/guide/overriding.md", "utf8");
  const shown = /faster\.wasm\n([\s\S]*?)```/.exec(page)?.[1];
  // Sizes depend on the core's.
  const plain = (text = "") => text.replace(/\d+ bytes after .*/, "");
  assert.equal(plain(out), plain(shown));
  const run = terrane("run", "--allocator", "own", path, "2000");
  assert.deepEqual(run, terrane("run", "--allocator", "own", PROGRAM, "2000"));
  assert.equal(run.code, 7);
});

test("override --dry-run --json writes nothing and prints the report", () => {
  const path = join(folder, "nothing.wasm");
  const { code, out } = terrane("override", "--dry-run", "--json", PROGRAM, "-o", path);
  const report = JSON.parse(out);
  assert.equal(code, 0);
  assert.equal(existsSync(path), false);
  assert.deepEqual(Object.keys(report), [
    "form",
    "functions",
    "pages",
    "bytesBefore",
    "bytesAfter",
    "memory",
    "because",
    "headers",
    "tried",
    "notes",
  ]);
  const { index, name, source, sure, fate } = report.functions[0];
  assert.deepEqual(
    [index, name, source, sure, fate],
    [13, "malloc", "name", "certain", "replaced"],
  );
});

test("override: a stripped module needs no options, and the report says what was tried", () => {
  const path = join(folder, "stripped.wasm");
  const { code, out } = terrane("override", STRIPPED, "-o", path);
  assert.equal(code, 0);
  assert.match(out, /\n {2}replaced, since it is proven, and nothing else touches its state\n/);
  assert.match(out, /\n {2}tried: \d+ functions of the new module behave\n/);
  assert.equal(terrane("run", "--allocator", "own", path, "2000").code, 7);
});

test("override: what is not proven needs --trust, and leftovers need their option", () => {
  const [malloc, free] = ["--function", "malloc=malloc", "--function", "free=free"].flatMap(
    (each, i, all) => (i % 2 ? [[all[i - 1] as string, each]] : []),
  ) as [string[], string[]];
  const args = ["override", "--dry-run", "--trust", ...malloc, ...free];
  const refused = terrane(...args, PROGRAM);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /cannot be replaced safely: parts of it stay in use: function \d+ \(/);
  const accepted = terrane(...args, "--accept-leftovers", PROGRAM);
  assert.equal(accepted.code, 0);
  assert.match(accepted.out, /replaced, since its functions are what you say\n/);
});

test("override --import makes a module that imports heap and memory", () => {
  const path = join(folder, "importing.wasm");
  const { code, out } = terrane("override", "--import", PROGRAM, "-o", path);
  assert.equal(code, 0);
  assert.match(out, /^terrane override \(import\), pages from the imported heap:\n/);
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(readFileSync(path)));
  const own = imports.filter((each) => each.module === "terrane").map((each) => each.name);
  assert.deepEqual(own.sort(), ["calloc", "free", "malloc", "memalign", "memory", "realloc"]);
});

const damaged = join(folder, "damaged.wasm");
writeFileSync(damaged, fixture("boxes.wasm").subarray(0, 3000));
const failures: readonly (readonly [string, readonly string[], RegExp])[] = [
  ["no output", [PROGRAM], /^terrane: say with --output where the new module goes, or ask with/],
  [
    "no such file",
    ["zork.wasm", "-o", "x"],
    /^terrane: zork.wasm: cannot be read: no such file\n$/,
  ],
  ["a damaged file", [damaged, "-o", "x"], /^terrane: .*damaged.wasm: byte 0x\w+: .*\n$/],
  [
    "a folder that is not there",
    [PROGRAM, "-o", join(folder, "none", "x.wasm")],
    /^terrane: .*x.wasm: cannot be written: ENOENT/,
  ],
  ["a bad size", [PROGRAM, "--dry-run", "--max-memory", "3"], /It must be from 64K to 4G/],
  ["an unknown option", [PROGRAM, "--merged"], /^terrane: unknown option '--merged'/],
];

for (const [what, args, message] of failures) {
  test(`override: ${what} is one clear line and exit code 2`, () => {
    const { code, out, err } = terrane("override", ...args);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, message);
    assert.equal(err.split("\n").length, 2);
  });
}
