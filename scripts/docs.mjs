/** Writes the generated pages, and parts of pages, of docs/ from the tables in the built package. */
import { readFileSync, writeFileSync } from "node:fs";
import { debugOptionsMarkdown } from "../dist/debug/options.js";
import { optionsPage } from "../dist/options.js";

writeFileSync(new URL("../docs/options.md", import.meta.url), optionsPage());

const debugging = new URL("../docs/debugging.md", import.meta.url);
const page = readFileSync(debugging, "utf8");
const table = /\| option \| type [\s\S]*?\n\n/;
writeFileSync(
  debugging,
  page.replace(table, () => `${debugOptionsMarkdown()}\n`),
);
