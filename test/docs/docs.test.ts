/** The documentation against the code: generated pages, runnable examples, paths that exist. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { optionsMarkdown } from "#src/common/option-table.js";
import { runtimeOptionsMarkdown } from "#src/common/runtime-options.js";
import { guardedOptionsMarkdown } from "#src/debug/guarded/options.js";
import { hardeningOptions } from "#src/heap/hardening.js";
import { heapOptions } from "#src/heap/options.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const read = (path: string) => readFileSync(root + path, "utf8");
const pages = [
  "README.md",
  "src/core/README.md",
  ...readdirSync(`${root}docs`).map((name) => `docs/${name}`),
];

test("docs/options.md is what the tables say", () => {
  assert.ok(read("docs/options.md").includes(`\n\n${optionsMarkdown(heapOptions)}\n`));
  assert.ok(read("docs/options.md").includes(`\n\n${runtimeOptionsMarkdown()}`));
});

test("docs/hardening.md has the table of options", () => {
  assert.ok(read("docs/hardening.md").includes(`\n\n${optionsMarkdown(hardeningOptions)}\n`));
});

test("docs/guarded.md has the table of options", () => {
  assert.ok(read("docs/guarded.md").includes(`\n\n${guardedOptionsMarkdown()}\n`));
});

test("the type of createHeap's options and their table have the same names", () => {
  const type =
    /export interface HeapOptions \{([^}]*)\}/.exec(read("src/heap/options.ts"))?.[1] ?? "";
  const typed = [...type.matchAll(/^ {2}(\w+)\?:/gm)].map((match) => match[1]);
  assert.deepEqual(
    heapOptions.map((row) => row.name),
    typed,
  );
});

for (const page of pages) {
  const examples = [...read(page).matchAll(/```js\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");
  examples.forEach((source, index) => {
    test(`${page}: example ${index + 1} runs and prints what it says`, () => {
      const printed = execFileSync(process.execPath, ["--input-type=module", "-e", source], {
        cwd: root,
        encoding: "utf8",
      });
      const promised = [...source.matchAll(/console\.log\(.*\);[ }]*\/\/ (.*)$/gm)].map(
        (m) => m[1],
      );
      assert.deepEqual(printed.trim().split("\n"), promised);
    });
  });

  test(`${page}: every path it names exists`, () => {
    const named = read(page).matchAll(/`((?:src|docs|bench|scripts|test)\/[\w./-]+)`/g);
    const links = read(page).matchAll(/\]\(((?!http)[\w./-]+)\)/g);
    const folder = page.slice(0, page.lastIndexOf("/") + 1);
    for (const [, path] of named) assert.ok(existsSync(root + path), path);
    for (const [, path] of links) assert.ok(existsSync(root + folder + path), path);
  });
}
