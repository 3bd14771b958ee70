/** The table of docs/checking.md: every row is run, and must say what came out. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { checked, fixture, wasiStub } from "./fixtures.js";

const docs = readFileSync(
  fileURLToPath(new URL("../../../docs/checking.md", import.meta.url)),
  "utf8",
);
const rows = [...docs.matchAll(/^\| `(\w+)` \| .* \| ([\w-]+) \|$/gm)].map(
  ([, name, result]) => [name as string, result as string] as const,
);

/** The kinds of mistakes that one function makes; "nothing" when it ends without any. */
function kindsOf(name: string): string[] {
  const wasi = wasiStub(name);
  const { checker, exports } = checked(fixture("security.wasm"), {}, wasi.imports);
  wasi.memory = checker.memory;
  try {
    exports._start?.();
  } catch (error) {
    if ((error as Error).name !== "CheckHalt") throw error;
  }
  const found = checker.reports.map((report) => report.kind);
  if (name === "leak") found.push(...checker.leaks().reports.map((report) => report.kind));
  return [...new Set(found)];
}

for (const [name, result] of rows) {
  test(`${name}: ${result}`, () => {
    const isFound = result !== "missed" && result !== "prevented";
    assert.deepEqual(name === "leak" ? [kindsOf(name)[0]] : kindsOf(name), isFound ? [result] : []);
  });
}

test("every function has a row", () => {
  const source = readFileSync(
    fileURLToPath(new URL("../../../test/wasm/fixtures/security.c", import.meta.url)),
    "utf8",
  );
  const names = [...source.matchAll(/^CASE\((\w+)\)/gm)].map((match) => match[1]);
  assert.deepEqual(
    rows.map(([name]) => name),
    names,
  );
});
