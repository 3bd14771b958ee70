/**
 * The rules of the source tree that a machine can see: which module and which part of a module may
 * import which, depth, size of files and lines, the dialect's silent traps, the budget of the cores.
 * Prints every breach; exits with 1 if there is one.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

/**
 * Each module with the modules that it may import, and its parts with the parts of the same module
 * that each may import; "" are the files of the module's own folder. A module's barrel, index.ts,
 * may import every part.
 */
const modules = {
  common: { imports: [] },
  memory: { imports: ["common"], parts: { "": [], os: [""] } },
  core: {
    imports: [],
    parts: {
      target: [],
      layout: ["target"],
      hard: ["target", "layout"],
      slices: ["target", "layout"],
      pages: ["target", "layout", "hard", "slices"],
      heap: ["target", "layout", "hard", "slices", "pages"],
      "": ["target", "layout", "hard", "slices", "pages", "heap"],
      embed: ["target", ""],
    },
  },
  heap: {
    imports: ["common", "memory", "core"],
    parts: { stats: [], calls: ["stats"], "": ["stats", "calls"] },
  },
  mempool: { imports: [] },
  sizeclass: {
    imports: ["common", "memory", "core", "heap"],
    parts: {
      core: [],
      embed: ["core"],
      spaces: ["core", "embed"],
      heap: ["core", "spaces"],
      hardened: ["heap"],
    },
  },
  layers: {
    imports: ["common", "memory", "heap"],
    parts: {
      pool: [],
      sources: ["pool"],
      storage: ["pool", "sources"],
      combine: ["pool"],
      observe: ["pool"],
      regions: ["pool", "sources", "storage", "combine"],
      "": ["pool", "sources", "storage", "combine", "observe", "regions"],
    },
  },
  managed: { imports: ["common", "layers"] },
  debug: {
    imports: ["common", "memory", "core", "heap", "layers"],
    parts: {
      report: [],
      store: ["report"],
      allocator: ["report", "store"],
      guarded: ["report", "store"],
      testing: ["report", "store", "allocator"],
    },
  },
  wasm: {
    imports: ["common", "core", "heap"],
    parts: {
      module: [],
      symbols: ["module"],
      allocators: ["module"],
      proof: ["module", "allocators"],
      shadow: ["module", "allocators"],
      definedness: ["module", "shadow"],
      override: ["module", "allocators", "proof", "shadow"],
      inspect: ["module", "proof", "override"],
      run: ["module", "allocators", "shadow", "override"],
      check: ["module", "symbols", "allocators", "shadow", "definedness", "override"],
    },
  },
  trace: { imports: ["common", "memory", "heap", "sizeclass", "layers", "debug", "wasm"] },
  cli: { imports: ["common", "heap", "wasm", "trace"] },
};

/** The only module with dependencies at run time, which are bundled into the command line. */
const mayDepend = /^src\/cli\//;
/** Files that AssemblyScript compiles too. */
const inDialect =
  /^src\/(core\/(?!embed|contract|target\/(glue|atomics(\.|-step)|dialect))|sizeclass\/core\/(cache|calls|classes|large|layout|lock|region|regions|release|state|threads|valid)\.ts)/;
const FILE_LINES = 450;
const LINE_COLUMNS = 100;
const CORE_BYTES = {
  "core.wasm": 19 * 1024,
  "core-shared.wasm": 24 * 1024,
  "core-hard.wasm": 32 * 1024,
  "core-shared-hard.wasm": 32 * 1024,
};

const breaches = [];

/** src/MODULE/PART/file.ts as its module and its part. */
function placeOf(path) {
  const names = path.split("/").slice(1, -1);
  return { module: names[0], part: names[1] ?? "" };
}

function checkImports(path, text) {
  for (const [, target] of text.matchAll(/^(?:(?:import|export|\}).* from|import) "([^"]+)"/gm)) {
    if (target.startsWith(".")) checkArrow(path, relative(".", join(dirname(path), target)));
    else if (!mayDepend.test(path) && !target.startsWith("node:")) {
      breaches.push(`${path}: imports ${target}, and only src/cli may depend on packages`);
    }
  }
}

function checkArrow(path, target) {
  const [from, to] = [placeOf(path), placeOf(target)];
  if (from.module !== to.module) {
    if (modules[from.module]?.imports.includes(to.module)) return;
    breaches.push(`${path}: module ${from.module} may not import ${to.module} (${target})`);
    return;
  }
  if (from.part === to.part || isEntry(path)) return;
  if (modules[from.module]?.parts?.[from.part]?.includes(to.part)) return;
  breaches.push(`${path}: part ${from.part || "/"} may not import ${to.part || "/"} (${target})`);
}

const isEntry = (path) => /^src\/\w+\/index\.ts$/.test(path);

function checkFile(path) {
  if (path.split("/").length > 4) breaches.push(`${path}: deeper than src/MODULE/PART/file.ts`);
  const { module, part } = placeOf(path);
  if (!modules[module])
    breaches.push(`${path}: ${module} is not a module of docs/internals/design.md`);
  else if (part && !modules[module].parts?.[part]) breaches.push(`${path}: ${part} is not a part`);
  const text = readFileSync(path, "utf8");
  checkImports(path, text);
  const lines = text.split("\n");
  if (lines.length > FILE_LINES) breaches.push(`${path}: ${lines.length} lines`);
  lines.forEach((line, index) => {
    if (line.length > LINE_COLUMNS) breaches.push(`${path}:${index + 1}: ${line.length} columns`);
  });
}

function checkCore() {
  for (const [name, budget] of Object.entries(CORE_BYTES)) {
    const bytes = statSync(`dist/${name}`).size;
    if (bytes > budget) breaches.push(`dist/${name}: ${bytes} bytes, budget ${budget}`);
  }
}

/** The core dialect's silent traps: what both compilers accept and read differently. */
function checkDialect(path) {
  const text = readFileSync(path, "utf8");
  text.split("\n").forEach((line, index) => {
    const code = line.replace(/\/\/.*|^\s*\*.*|\/\*.*/, "");
    const where = `${path}:${index + 1}`;
    if (/[^>]>>[^>]/.test(code)) breaches.push(`${where}: >> instead of >>>`);
    if (/\blet \w+ =|\bconst \w+ =/.test(code)) breaches.push(`${where}: value without a type`);
    if (/\b(class|throw|new|=>)\b/.test(code)) breaches.push(`${where}: not in the dialect`);
  });
}

const files = readdirSync("src", { recursive: true })
  .map((name) => `src/${name.replaceAll("\\", "/")}`)
  .filter((path) => path.endsWith(".ts"));
for (const path of files) checkFile(path);
for (const path of files) {
  if (inDialect.test(path)) checkDialect(path);
}
checkCore();
for (const breach of breaches) console.error(breach);
process.exit(breaches.length === 0 ? 0 : 1);
