/** The documentation against the code: generated tables, runnable examples, names that exist. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { heapOptionTexts } from "#src/heap/option-texts.js";
import { heapChecks } from "#src/heap/options.js";
import { dist, modules, root } from "../support/checkout.js";

const LINES_MOST = 250;
/** The package has few files: see test/package. */
const PUBLISHED_MOST = 20;

const read = (path: string) => readFileSync(root + path, "utf8");

function filesBelow(folder: string, ending: RegExp): string[] {
  return readdirSync(folder, { recursive: true })
    .map((name) => String(name).replaceAll("\\", "/"))
    .filter((name) => ending.test(name));
}

const docs = filesBelow(`${root}docs`, /\.md$/).map((name) => `docs/${name}`);
const published = docs.filter((page) => !page.startsWith("docs/internals/"));
const pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", ...docs];

/** What scripts/docs.mjs offers, which is not compiled. */
interface DocsScript {
  pagesOfDocs(
    modules: URL,
    root: URL,
  ): Promise<readonly { path: string; page: string; wanted: string }[]>;
}

test("generated tables are what the code says; npm run docs writes them", async () => {
  const script: DocsScript = await import(pathToFileURL(`${root}scripts/docs.mjs`).href);
  for (const each of await script.pagesOfDocs(new URL(modules), pathToFileURL(root))) {
    assert.equal(each.page, each.wanted, each.path);
  }
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

test("the package has few pages, and none is long", () => {
  assert.ok(published.length <= PUBLISHED_MOST, `${published.length} pages`);
  for (const page of pages) {
    const lines = read(page).split("\n").length - 1;
    assert.ok(lines <= LINES_MOST, `${page}: ${lines} lines`);
  }
});

test("every guide says when not to use what it is about", () => {
  for (const page of docs.filter((path) => path.startsWith("docs/guide/"))) {
    assert.match(read(page), /\*\*When not to use this\.\*\*/, page);
  }
});

/** The heads of a page as GitHub names them in links. */
function anchorsOf(page: string): Set<string> {
  const heads = read(page).matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...heads].map(([, head = ""]) =>
      head
        .toLowerCase()
        .replace(/[^\w\s-]/g, "")
        .replaceAll(" ", "-"),
    ),
  );
}

function checkLink(page: string, target: string): void {
  const [path = "", anchor] = target.split("#");
  const folder = page.slice(0, page.lastIndexOf("/") + 1);
  const file = path === "" ? page : new URL(path, `file:///${folder}`).pathname.slice(1);
  assert.ok(existsSync(root + file), `${page} links to ${target}`);
  if (anchor) assert.ok(anchorsOf(file).has(anchor), `${page} links to ${target}`);
}

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

  test(`${page}: every path and link leads somewhere`, () => {
    const text = read(page);
    const named = text.matchAll(/`((?:src|docs|bench|scripts|test|examples)\/[\w./-]+)`/g);
    for (const [, path = ""] of named) {
      if (/[A-Z]{4}/.test(path)) continue; // src/MODULE/file.ts stands for many
      assert.ok(existsSync(root + path), `${page} names ${path}`);
    }
    const links = text.matchAll(/\]\(((?!https?:)[\w./#-]+)\)/g);
    for (const [, target = ""] of links) checkLink(page, target);
  });
}

/** All words of a text that could be names. */
const wordsOf = (text: string) => text.match(/[A-Za-z_$][\w$]*/g) ?? [];

function wordsBelow(folder: string, ending: RegExp): string[] {
  return filesBelow(folder, ending).flatMap((name) =>
    wordsOf(readFileSync(`${folder}/${name}`, "utf8")),
  );
}

/** Names that are not ours: of everything global, of what that has, and of modules of Node. */
function platformNames(): Set<string> {
  const names = new Set([
    ...["AsyncLocalStorage", "createRequire", "workerData", "DisposableStack", "SuppressedError"],
    ...["noImportCycles", "createFromBuffer", "iB"], // biome's, a library's, a unit
  ]);
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    names.add(name);
    const value = (globalThis as Record<string, unknown>)[name];
    for (const each of [value, (value as { prototype?: unknown } | undefined)?.prototype]) {
      const isObject = (typeof each === "object" || typeof each === "function") && each !== null;
      for (const own of isObject ? Object.getOwnPropertyNames(each) : []) names.add(own);
    }
  }
  return names;
}

/** Text between backticks that has the look of a name in code: a call, camelCase, an error. */
function namesIn(page: string): string[] {
  const spans = read(page)
    .replace(/```[\s\S]*?```/g, "")
    .matchAll(/`([^`]+)`/g);
  return [...spans].flatMap(([, span = ""]) => {
    if (/[/\\]|^-|\bmi_|^_Z|\.(wasm|md|ts|mjs)\b/.test(span)) return [];
    const code = span.replace(/"[^"]*"/g, "");
    const names = code.match(/\b(?:ERR_\w+|[a-zA-Z]*[a-z][A-Z]\w*|[a-z]\w*(?=\())/g) ?? [];
    return names;
  });
}

function checkNames(pages: readonly string[], known: ReadonlySet<string>): void {
  const platform = platformNames();
  const unknown = pages.flatMap((page) =>
    namesIn(page)
      .filter((name) => !known.has(name) && !platform.has(name))
      .map((name) => `${page}: ${name}`),
  );
  assert.deepEqual([...new Set(unknown)], []);
}

test("names in guides and reference are in the declarations of the package", () => {
  const known = new Set(wordsBelow(dist, /\.d\.ts$/));
  // Features, options and flags are strings; C's names are keys of tables.
  for (const word of wordsBelow(`${root}src`, /(options|flags|features|mistakes|table)\.ts$/)) {
    known.add(word);
  }
  checkNames([...published, "README.md"], known);
});

test("names in the pages about the inside are in the sources", () => {
  const known = new Set(
    ["src", "test", "scripts", "bench"].flatMap((folder) =>
      wordsBelow(root + folder, /\.(ts|mjs|json)$/),
    ),
  );
  const inside = docs.filter((page) => page.startsWith("docs/internals/"));
  checkNames(inside, known);
});
