/**
 * The generated tables of docs/: which page has which, made from the tables of the built package.
 * `npm run docs` writes them into the pages; test/docs/docs.test.ts compares.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A table of Markdown; `align` as in the line below the head. */
export function markdownTable(head, align, rows) {
  const cell = (text) => String(text).replaceAll("|", "\\|");
  const line = (cells) => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), `|${align.join("|")}|`, ...rows.map(line)].join("\n");
}

/** Errors have the code, reports the title. */
function mistakesMarkdown(mistakes) {
  const rows = Object.entries(mistakes).map(([code, { title, text }]) => {
    return [`\`${code}\``, `\`${title}\``, text];
  });
  return markdownTable(["code", "title", "meaning"], ["---", "---", "---"], rows);
}

/** The words of a doc comment in one line: without its stars, its examples and its marks. */
function commentText(comment) {
  const text = comment.replace(/^\s*\*+ ?/gm, "").replace(/@example[\s\S]*?(?=\n@|$)/, "");
  return text
    .replace(/@throws/g, "Throws")
    .replace(/\s+/g, " ")
    .trim();
}

/** The calls of AllocatorCalls as its declaration documents them, with their names in C. */
function callsMarkdown(declaration, calls) {
  const member = /\/\*\*([\s\S]*?)\*\/\s*"?(\w+)"?\(([^)]*(?:\([^)]*\)[^)]*)?)\)/g;
  const inside = declaration.slice(declaration.indexOf("interface AllocatorCalls"));
  const rows = [...inside.matchAll(member)].map(([, comment, name, parameters]) => {
    const { c = [], mi = [], ms = [], ofHeap } = calls[name];
    const inC = [...c, ...mi, ...ms].map((each) => `\`${each}\``).join(", ");
    const words = parameters.split(",").map((each) => each.split(":")[0].trim());
    const call = `\`${name}(${words.join(", ")})\``;
    return [call, commentText(comment), inC, ofHeap ? "yes" : ""];
  });
  return markdownTable(["call", "what it does", "in C", "heap"], Array(4).fill("---"), rows);
}

/** C++'s operators, by the call that each stands for. */
function operatorsMarkdown(operators) {
  const names = new Map();
  for (const { name, call } of operators) {
    names.set(call, [...(names.get(call) ?? []), `\`${name}\``]);
  }
  const rows = [...names].map(([call, all]) => [`\`${call}\``, all.join(", ")]);
  return markdownTable(["call", "operators"], ["---", "---"], rows);
}

/** Every exit code of each command. */
function exitCodesMarkdown(exitCodes) {
  const rows = Object.entries(exitCodes).flatMap(([command, codes]) =>
    codes.map(([code, meaning]) => [`\`${command}\``, code, meaning]),
  );
  return markdownTable(["command", "code", "meaning"], ["---", "---:", "---"], rows);
}

/**
 * All tables, each with its page.
 *
 * @param {URL} modules the compiled modules of src
 * @returns {Promise<{ page: string, table: string }[]>}
 */
export async function tablesOfDocs(modules) {
  const load = (path) => import(new URL(path, modules).href);
  const { optionsMarkdown } = await load("common/option-table.js");
  const { runtimeOptionsMarkdown } = await load("common/runtime-option-texts.js");
  const { mistakes } = await load("common/mistakes.js");
  const { heapOptionTexts, hardeningOptionTexts } = await load("heap/option-texts.js");
  const { debugOptionsMarkdown } = await load("debug/store/option-rows.js");
  const { guardedOptionsMarkdown } = await load("debug/guarded/options.js");
  const { calls, operators } = await load("heap/calls/table.js");
  const { exitCodes } = await load("cli/exit-codes.js");
  const declaration = readFileSync(new URL("heap/calls/allocator-calls.d.ts", modules), "utf8");
  const options = [
    optionsMarkdown(heapOptionTexts),
    runtimeOptionsMarkdown(),
    optionsMarkdown(hardeningOptionTexts),
    debugOptionsMarkdown(),
    guardedOptionsMarkdown(),
  ];
  return [
    ...options.map((table) => ({ page: "docs/reference/options.md", table: table.trimEnd() })),
    { page: "docs/reference/calls.md", table: callsMarkdown(declaration, calls) },
    { page: "docs/reference/calls.md", table: operatorsMarkdown(operators()) },
    { page: "docs/reference/mistakes.md", table: mistakesMarkdown(mistakes) },
    { page: "docs/reference/mistakes.md", table: exitCodesMarkdown(exitCodes) },
  ];
}

/** Where a table goes: behind a comment that names it. */
const MARK = /<!-- table (\d+) -->\n\n(?:\|.*\n)*/g;

/** A page with its tables in the places that are marked, in their order. */
export function pageWith(page, tables) {
  const places = [...page.matchAll(MARK)];
  if (places.length !== tables.length) {
    throw new Error(`${places.length} places for ${tables.length} tables`);
  }
  return page.replace(MARK, (_, index) => `<!-- table ${index} -->\n\n${tables[index - 1]}\n`);
}

/** Each page with generated tables, and what it should be. */
export async function pagesOfDocs(modules, root) {
  const tables = await tablesOfDocs(modules);
  const pages = [...new Set(tables.map(({ page }) => page))];
  return pages.map((path) => {
    const page = readFileSync(new URL(path, root), "utf8");
    const own = tables.filter((each) => each.page === path).map(({ table }) => table);
    return { path, page, wanted: pageWith(page, own) };
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = new URL("../", import.meta.url);
  const modules = new URL("build/src/", root);
  if (!existsSync(modules)) throw new Error("no build/src: run npm run build first");
  for (const { path, wanted } of await pagesOfDocs(modules, root)) {
    writeFileSync(new URL(path, root), wanted);
  }
}
