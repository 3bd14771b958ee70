/** The documentation against the code: generated pages, runnable examples, paths that exist. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { optionsMarkdown } from "#src/common/option-table.js";
import { runtimeOptionsMarkdown } from "#src/common/runtime-option-texts.js";
import { guardedOptionsMarkdown } from "#src/debug/guarded/options.js";
import { hardeningOptionTexts, heapOptionTexts } from "#src/heap/option-texts.js";
import { heapChecks } from "#src/heap/options.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const read = (path: string) => readFileSync(root + path, "utf8");
const pages = [
  "README.md",
  "src/core/README.md",
  ...readdirSync(`${root}docs`).map((name) => `docs/${name}`),
];

test("docs/options.md is what the tables say", () => {
  assert.ok(read("docs/options.md").includes(`\n\n${optionsMarkdown(heapOptionTexts)}\n`));
  assert.ok(read("docs/options.md").includes(`\n\n${runtimeOptionsMarkdown()}`));
});

test("docs/hardening.md has the table of options", () => {
  assert.ok(read("docs/hardening.md").includes(`\n\n${optionsMarkdown(hardeningOptionTexts)}\n`));
});

test("docs/guarded.md has the table of options", () => {
  assert.ok(read("docs/guarded.md").includes(`\n\n${guardedOptionsMarkdown()}\n`));
});

test("the types of createHeap's options, their checks and their table have the same names", () => {
  const source = read("src/heap/options.ts");
  const fields = (type: string) => {
    const body =
      new RegExp(`export interface ${type} [^{]*\\{([\\s\\S]*?)\\n\\}`).exec(source)?.[1] ?? "";
    return [...body.matchAll(/^ {2}(\w+)\?:/gm)].map((match) => match[1]);
  };
  const named = heapOptionTexts.map((row) => row.name);
  assert.deepEqual(named, [...fields("MemoryOptions"), ...fields("HeapOptions")]);
  assert.deepEqual(named, [...fields("MemoryOptions"), ...fields("SharedHeapOptions")]);
  for (const shared of [false, true]) {
    assert.deepEqual(
      heapChecks(shared).map((row) => row.name),
      named,
    );
  }
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
