/**
 * One word for one thing: the glossary defines each term once and in order, and the words of
 * scripts/vocabulary.json, which have a better one, stand in no text. Texts are the documentation
 * outside of code, and of sources the comments and the strings with more than one word.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { root } from "../support/checkout.js";

interface Row {
  /** A regular expression for the words, from one word boundary to another, in any case. */
  readonly pattern: string;
  /** What to write instead. */
  readonly use: string;
  /** The folders that it holds for; all of them without it. */
  readonly only?: readonly string[];
}

const read = (path: string) => readFileSync(root + path, "utf8");
const rows: Row[] = JSON.parse(read("scripts/vocabulary.json"));

function filesBelow(folder: string, ending: RegExp): string[] {
  return readdirSync(root + folder, { recursive: true })
    .map((name) => `${folder}/${String(name).replaceAll("\\", "/")}`)
    .filter((path) => ending.test(path));
}

const pages = [
  ...["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"],
  ...filesBelow("docs", /\.md$/),
];
/** The names of programs and of their functions are theirs. */
const sources = ["src", "test", "scripts", "bench", "examples"]
  .flatMap((folder) => filesBelow(folder, /\.(ts|mjs)$/))
  .filter((path) => !/\/fixtures\//.test(path));

/** Words of code are not text: what is between backticks, and code blocks. */
function textOfPage(page: string): string[] {
  let isCode = false;
  return page.split("\n").map((line) => {
    if (line.startsWith("```")) isCode = !isCode;
    return isCode ? "" : line.replace(/`[^`]*`/g, "");
  });
}

const COMMENT = /^\s*(?:\/\*\*?|\*)\s(.*)|(?:^|\s)\/\/ (.*)/;
const STRING = /"((?:[^"\\]|\\.)* (?:[^"\\]|\\.)*)"|`([^`]* [^`]*)`/g;

/** Line by line the comment and the strings; a string of one word is a name. */
function textOfSource(source: string): string[] {
  return source.split("\n").map((line) => {
    const [, block, end] = COMMENT.exec(line) ?? [];
    const strings = block === undefined ? [...line.matchAll(STRING)] : [];
    const texts = strings.map(([, quoted, template]) =>
      (quoted ?? template ?? "").replace(/\$\{[^}]*\}/g, ""),
    );
    return [block ?? end ?? "", ...texts].join(" \n ").replace(/`[^`]*`/g, "");
  });
}

function breaches(path: string, lines: readonly string[], row: Row): string[] {
  const [folder = ""] = path.split("/");
  if (row.only && !row.only.includes(folder)) return [];
  const pattern = new RegExp(`(?<![\\w-])(?:${row.pattern})(?![\\w-])`, "i");
  return lines.flatMap((line, index) => {
    const found = pattern.exec(line)?.[0];
    return found ? [`${path}:${index + 1}: "${found}": ${row.use}`] : [];
  });
}

for (const row of rows) {
  test(`the documentation writes "${row.use}" for /${row.pattern}/`, () => {
    const found = pages.flatMap((path) => breaches(path, textOfPage(read(path)), row));
    assert.equal(found.join("\n"), "");
  });

  test(`comments and messages have "${row.use}" for /${row.pattern}/`, () => {
    const found = sources.flatMap((path) => breaches(path, textOfSource(read(path)), row));
    assert.equal(found.join("\n"), "");
  });
}

const terms = [...read("docs/glossary.md").matchAll(/^- \*\*([^*]+)\*\*(?: \((\w+)\))?: (.*)$/gm)];

test("every line of the glossary is a term with one sentence", () => {
  const lines = read("docs/glossary.md")
    .split("\n")
    .filter((line) => line.startsWith("-"));
  assert.equal(terms.length, lines.length);
  for (const [line, , , text = ""] of terms) assert.match(text, /^[a-z0-9].*\.$/, line);
});

test("the glossary defines each term once, in alphabetical order", () => {
  const names = terms.map(([, name = "", module = ""]) => `${name} ${module}`.toLowerCase());
  assert.deepEqual(names, [...new Set(names)].sort());
});
