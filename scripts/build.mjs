/**
 * Builds what has changed: all TypeScript by tsc into build/, the cores by AssemblyScript and as
 * JavaScript factories, the package into dist/. `--check` adds, under build/check, the cores with
 * validity walks that the tests use. Nothing that is current is written again, and no file is ever
 * seen half written, so tests may run meanwhile.
 */
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { checkedCores, cores } from "./core-table.mjs";
import { entryPoints } from "./entry-points.mjs";
import { filesBelow, fileWrite, folderSync, hashOf, locked, step } from "./outputs.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const ours = ["src", "test", "bench", "examples"];

/** A build that has said on standard error what is wrong. */
export class BuildError extends Error {}

/** What stands in build/src and is not an output of tsc. */
const MADE = /\/embed\/[\w-]+\.(js|d\.ts)$|\/dialect\.d\.ts$|\/trace\/rivals\.js$/;

function typescriptBuild() {
  const tsc = "node_modules/typescript/bin/tsc";
  const args = ["-p", ".", "--outDir", "build.stage", "--incremental"];
  const info = ["--tsBuildInfoFile", "build.stage/tsconfig.tsbuildinfo"];
  const { status } = spawnSync(process.execPath, [tsc, ...args, ...info], { stdio: "inherit" });
  if (status !== 0) throw new BuildError("tsc found mistakes");
  stageSweep();
  for (const part of ours) {
    folderSync(`build.stage/${part}`, `build/${part}`, (name) => MADE.test(`/${name}`));
  }
  for (const name of filesBelow("src").filter((path) => path.endsWith(".d.ts"))) {
    fileWrite(`build/src/${name}`, readFileSync(`src/${name}`));
  }
  fileWrite("build/package.json", packageOfTests());
  const rivals = ["dlmalloc", "tlsf"].map((name) => [
    name,
    readFileSync(`bench/rivals/${name}.wasm`, "base64"),
  ]);
  const text = JSON.stringify(Object.fromEntries(rivals));
  fileWrite("build/src/trace/rivals.js", `export const rivals = ${text};\n`);
}

/** tsc leaves the output of sources that are gone. */
function stageSweep() {
  for (const part of ours) {
    for (const name of filesBelow(`build.stage/${part}`)) {
      const source = `${part}/${name.replace(/(\.d\.ts|\.js(\.map)?)$/, ".ts")}`;
      if (!existsSync(source)) rmSync(`build.stage/${part}/${name}`);
    }
  }
}

/** In build/, the package's names lead to modules that are not bundled, one file each. */
function packageOfTests() {
  const { name, version, type, exports } = JSON.parse(readFileSync("package.json", "utf8"));
  const entries = entryPoints(exports).map(({ path, module }) => [path, `./src/${module}.js`]);
  const wasm = Object.entries(exports).filter(([path]) => path.endsWith(".wasm"));
  return `${JSON.stringify({
    name,
    version,
    type,
    exports: Object.fromEntries([
      ...entries,
      ...wasm.map(([path]) => [path, `./wasm/${path.slice(2)}`]),
    ]),
    imports: { "#src/*": "./src/*", "#check/core.js": "./check/core.js" },
  })}\n`;
}

/** One form of a core: made by a process of its own, kept by the hash of what it is made of. */
async function artefactMake(core, kind, hash) {
  const kept = `build/cache/${core.name}-${kind}-${hash}.${kind}`;
  if (!existsSync(kept)) {
    const out = `build/cache/${core.name}-${kind}-${process.pid}.tmp.${kind}`;
    mkdirSync("build/cache", { recursive: true });
    const program = ["scripts/core.mjs", core.name, kind, out];
    const { stderr } = await promisify(execFile)(process.execPath, program);
    process.stderr.write(stderr);
    if (kind === "wasm") renameSync(watOf(out), watOf(kept));
    renameSync(out, kept);
  }
  cacheSweep(`${core.name}-${kind}-`, kept);
  return kept;
}

const watOf = (path) => path.replace(/\.wasm$/, ".wat");

/** One version of each artefact besides the newest stays, for going back and forth. */
function cacheSweep(start, kept) {
  const others = readdirSync("build/cache")
    .filter((name) => name.startsWith(start) && /-[0-9a-f]{20}\.(wasm|js)$/.test(name))
    .map((name) => `build/cache/${name}`)
    .filter((path) => path !== kept);
  for (const path of others.slice(0, -3)) {
    rmSync(path, { force: true });
    rmSync(watOf(path), { force: true });
  }
}

function artefactPlace(core, kind, kept) {
  const bytes = readFileSync(kept);
  const checked = /-check$|-stepped/.test(core.name);
  const name = core.name.replace(/-check$/, "");
  if (checked) {
    fileWrite(`build/check/${name}.${kind}`, bytes);
    return;
  }
  const module = name.startsWith("sizeclass") ? "sizeclass" : "core";
  if (kind === "js") {
    fileWrite(`build/src/${module}/embed/${name}-js.js`, bytes);
    return;
  }
  fileWrite(`build/wasm/${name}.wasm`, bytes);
  fileWrite(`build/wasm/${name}.wat`, readFileSync(watOf(kept)));
  const constant = `${name}-wasm`.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
  fileWrite(
    `build/src/${module}/embed/${name}-wasm.js`,
    `export const ${constant} = "${bytes.toString("base64")}";\n`,
  );
}

async function coresBuild(wanted, hash) {
  const works = wanted.flatMap((core) => [
    ...(core.wasm ? [[core, "wasm"]] : []),
    ...(core.js ? [[core, "js"]] : []),
  ]);
  const worker = async () => {
    for (let work = works.shift(); work; work = works.shift()) {
      artefactPlace(...work, await artefactMake(...work, hash));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

/** Cores are made of the dialect's modules, by these compilers. */
const coreReads = [
  "src/core",
  "src/sizeclass/core",
  "scripts/core.mjs",
  "scripts/core-table.mjs",
  "node_modules/assemblyscript/package.json",
  "node_modules/rollup/package.json",
  "node_modules/terser/package.json",
];

/** @param {{ check?: boolean }} options */
export async function build({ check = false } = {}) {
  process.chdir(root);
  const sources = ours.flatMap((part) =>
    filesBelow(part)
      .filter((name) => name.endsWith(".ts"))
      .map((name) => `${part}/${name}`),
  );
  const settings = ["tsconfig.json", "package.json", "scripts/build.mjs"];
  await step("typescript", [...sources, ...settings], typescriptBuild);
  await step("cores", coreReads, () => coresBuild(cores, hashOf(coreReads)));
  if (check) await step("checked", coreReads, () => coresBuild(checkedCores, hashOf(coreReads)));
  const packageReads = ["build/src", "build/wasm", "package.json", "scripts/package.mjs"];
  await step("package", [...packageReads, "bench/rivals"], async () => {
    const { packageBuild } = await import("./package.mjs"); // its compilers take a second to load
    await packageBuild();
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await locked(() => build({ check: process.argv.includes("--check") }));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    process.exitCode = 1;
  }
}
