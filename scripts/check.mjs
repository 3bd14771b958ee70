/**
 * The rules of the house that a machine can see: which room may import which, depth, size of files
 * and lines, the budget of core.wasm. Prints every breach; exits with 1 if there is one.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

/** Each room with the rooms that it may import; "top" are the files of src itself. */
const rooms = {
  memory: [],
  core: [],
  embed: ["core", "sizeclass"],
  sizeclass: ["memory", "core", "embed", "top"],
  mempool: [],
  layers: ["memory", "core", "sizeclass", "top"],
  managed: ["memory", "core", "sizeclass", "layers", "top"],
  debug: ["memory", "core", "sizeclass", "layers", "top"],
  wasm: ["memory", "core", "sizeclass", "layers", "debug", "embed", "top"],
  trace: ["memory", "core", "sizeclass", "layers", "debug", "wasm", "top"],
  top: ["memory", "core", "embed"],
  cli: ["trace", "wasm", "top"],
};

/** Files that may have dependencies at run time: the command line and what only it loads. */
const mayDepend = /^src\/(cli\.ts|trace\/|wasm\/command)/;
/** Files that AssemblyScript compiles too. */
const inDialect =
  /^src\/(core\/(?!glue|atomics\.|atomics-step|contract|dialect)|sizeclass\/(cache|classes|large|layout|lock|region|regions|release|state|threads|valid|verbs)\.ts)/;
const FILE_LINES = 450;
const LINE_COLUMNS = 100;
const CORE_BYTES = {
  "core.wasm": 18 * 1024,
  "core-shared.wasm": 22 * 1024,
  "core-hard.wasm": 32 * 1024,
  "core-shared-hard.wasm": 32 * 1024,
};

const breaches = [];

function roomOf(path) {
  if (path === "src/cli.ts") return "cli";
  const parts = path.split("/");
  return parts.length === 2 ? "top" : parts[1];
}

function checkImports(path, text) {
  for (const [, target] of text.matchAll(/^(?:(?:import|export|\}).* from|import) "([^"]+)"/gm)) {
    if (target.startsWith(".")) checkArrow(path, relative(".", join(dirname(path), target)));
    else if (!mayDepend.test(path)) breaches.push(`${path}: imports ${target} at run time`);
  }
}

function checkArrow(path, target) {
  const [from, to] = [roomOf(path), roomOf(target)];
  if (from === to) return;
  if (!rooms[from]?.includes(to)) breaches.push(`${path}: room ${from} may not import ${to}`);
}

function checkFile(path) {
  const parts = path.split("/");
  if (parts.length > 3) breaches.push(`${path}: deeper than src/room/file.ts`);
  if (!rooms[roomOf(path)]) breaches.push(`${path}: ${roomOf(path)} is no room of design.md`);
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
