/** Writes the generated tables of docs/ from the tables in the built package. */
import { readFileSync, writeFileSync } from "node:fs";
import { optionsMarkdown } from "../build/src/common/option-table.js";
import { runtimeOptionsMarkdown } from "../build/src/common/runtime-option-texts.js";
import { guardedOptionsMarkdown } from "../build/src/debug/guarded/options.js";
import { debugOptionsMarkdown } from "../build/src/debug/store/option-rows.js";
import { hardeningOptionTexts, heapOptionTexts } from "../build/src/heap/option-texts.js";

/** Each page with the tables in it, known by how their first line begins. */
const tables = {
  "debugging.md": [debugOptionsMarkdown()],
  "guarded.md": [guardedOptionsMarkdown()],
  "hardening.md": [optionsMarkdown(hardeningOptionTexts)],
  "options.md": [optionsMarkdown(heapOptionTexts), runtimeOptionsMarkdown()],
};

for (const [name, made] of Object.entries(tables)) {
  const path = new URL(`../docs/${name}`, import.meta.url);
  let page = readFileSync(path, "utf8");
  for (const table of made) page = tableReplace(page, table);
  writeFileSync(path, page);
}

/** The table goes in the place of the one whose first two cells are the same. */
function tableReplace(page, table) {
  const head = table.split("|").slice(0, 3).join("|");
  const from = page.indexOf(head);
  if (from < 0) throw new Error(`no table that begins with ${head}`);
  const length = page.slice(from).search(/\n(?!\|)/);
  return page.slice(0, from) + table.trimEnd() + page.slice(from + length);
}
