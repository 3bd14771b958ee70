/** docs/guide/debugging.md shows the text that is printed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = new URL("../../../../", import.meta.url);

test("docs/guide/debugging.md: the report is the one that its first example prints", () => {
  const page = readFileSync(new URL("docs/guide/debugging.md", root), "utf8");
  const source = /```js\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  const text = /```text\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  // In the package, so that `terrane` resolves to it.
  const folder = fileURLToPath(new URL("build/docs", root));
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/names.mjs`, source);
  const { stdout, stderr } = spawnSync(process.execPath, [`${folder}/names.mjs`], {
    encoding: "utf8",
  });
  assert.equal(stdout, "leak\n");
  assert.equal(stderr.replaceAll(folder, "/home/ada"), text);
});
