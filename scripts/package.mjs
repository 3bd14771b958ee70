/**
 * The package: what is loaded together becomes one file, dist/lib/MODULE.js, and an entry point is
 * a file that leads there. Node takes 0.3 to 0.5 ms to load a file, so that many small ones cost
 * more than the code in them. The command line comes with what it depends on.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import commonjs from "@rollup/plugin-commonjs";
import nodeResolve from "@rollup/plugin-node-resolve";
import { rollup } from "rollup";
import { dts } from "rollup-plugin-dts";
import { entryPoints } from "./entry-points.mjs";
import { filesBelow, folderSync } from "./outputs.mjs";

const from = resolve("build/src");
const STAGE = "build.stage/dist";

/** What the package starts by itself: the command line, and the threads of its replays. */
const programs = [
  { name: "cli", module: "cli/cli" },
  { name: "lib/worker", module: "trace/worker" },
];

/** Those that serve without the heap's core, and so must not load it. */
const heapless = ["memory/index", "sizeclass/index", "wasm/index"];

/** Parts of the heap that only some programs load, and what of src/ is in each. */
const ofHeap = {
  hardening: /^(heap\/hardening|core\/embed\/core-.*hard.*)\.js$/,
  javascript: /^(heap\/javascript|core\/embed\/core(-shared)?-js)\.js$/,
  shared:
    /^(heap\/(shared|shared-heap|handle-check|worker-watch)|core\/embed\/core-shared-wasm)\.js$/,
};

/** Circles among them: every bundler would warn of each. */
function onwarn(warning) {
  if (warning.code === "THIS_IS_UNDEFINED") return; // tsc's helper for `using` asks for it
  throw new Error(warning.message);
}

/** Adds a module and all that it imports, directly or not, as paths below build/src. */
function reach(path, reached) {
  if (reached.has(path)) return;
  reached.add(path);
  const text = readFileSync(`${from}/${path}`, "utf8");
  const imports = text.matchAll(/^(?:(?:import|export|\}).* from|import) "(\.[^"]+)"/gm);
  for (const [, target] of imports) reach(join(dirname(path), target), reached);
}

/** What common, heap, memory and core have is `base` where it is of use without a heap. */
function chunkOf(path, base) {
  for (const [chunk, pattern] of Object.entries(ofHeap)) if (pattern.test(path)) return chunk;
  if (path.startsWith("sizeclass/embed")) return "sizeclass";
  // Only the command line prints what a module consists of.
  if (path.startsWith("wasm/inspect")) return "inspect";
  const [module] = path.split("/");
  // Programs have their code in their own files: it runs when they are loaded.
  if (programs.some((program) => path === `${program.module}.js`)) return;
  if (!["common", "memory", "core", "heap"].includes(module)) return module;
  return base.has(path) ? "base" : "heap";
}

/** Rollup gives a chunk the name of an entry without exports: an empty one is there for each. */
const CHUNK = "\0chunk:";
const namesakes = {
  name: "namesakes of chunks",
  resolveId: (id) => (id.startsWith(CHUNK) ? id : null),
  load: (id) => (id.startsWith(CHUNK) ? { code: "export {};", moduleSideEffects: true } : null),
};

/** tsc's source maps, so that the ones of the package lead to src/. */
const sourceMaps = {
  name: "source maps of tsc",
  load(id) {
    if (!id.startsWith(from)) return null;
    // The cores are made, and have no source that a debugger could show.
    if (!existsSync(`${id}.map`)) return { code: readFileSync(id, "utf8"), map: { mappings: "" } };
    const map = JSON.parse(readFileSync(`${id}.map`, "utf8"));
    return {
      code: readFileSync(id, "utf8").replace(/\n\/\/# sourceMappingURL=\S+\s*$/, "\n"),
      map,
    };
  },
};

/** What each entry point and program loads, and which chunk each of these modules belongs to. */
function chunksOf(entries) {
  const base = new Set();
  for (const module of heapless) reach(`${module}.js`, base);
  const users = new Map();
  for (const { name, module } of [...entries, ...programs]) {
    const reached = new Set();
    reach(`${module}.js`, reached);
    for (const path of reached) {
      const chunk = chunkOf(path, base);
      if (chunk) users.set(chunk, (users.get(chunk) ?? new Set()).add(name));
    }
  }
  // What only one entry point loads is in its own file.
  const shared = [...users].filter(([, names]) => names.size > 1).map(([chunk]) => chunk);
  return { base, chunks: new Set(shared) };
}

async function scriptsBuild(entries) {
  const { base, chunks } = chunksOf(entries);
  const chunkIn = (id) => {
    const chunk = id.startsWith(from) ? chunkOf(relative(from, id), base) : undefined;
    return chunks.has(chunk) ? chunk : undefined;
  };
  const bundle = await rollup({
    input: {
      ...Object.fromEntries([...chunks].map((chunk) => [`lib/${chunk}`, CHUNK + chunk])),
      ...Object.fromEntries(
        [...entries, ...programs].map(({ name, module }) => [name, `${from}/${module}.js`]),
      ),
    },
    plugins: [namesakes, sourceMaps, nodeResolve({ exportConditions: ["node"] }), commonjs()],
    external: /^node:/,
    onwarn,
  });
  await bundle.write({
    dir: STAGE,
    format: "es",
    entryFileNames: "[name].js",
    manualChunks: (id) => (id.startsWith(CHUNK) ? id.slice(CHUNK.length) : chunkIn(id)),
    minifyInternalExports: false,
    hoistTransitiveImports: false,
    sourcemap: true,
  });
  mapsSweep();
}

/** Shorter files only start a thread: what fails in them is elsewhere. */
const FEW = 2000;

/** A file that only leads elsewhere has nothing to map. */
function mapsSweep() {
  for (const name of filesBelow(STAGE).filter((path) => path.endsWith(".js"))) {
    const file = `${STAGE}/${name}`;
    const { mappings } = JSON.parse(readFileSync(`${file}.map`, "utf8"));
    if (/\w/.test(mappings) && readFileSync(file).length >= FEW) continue;
    rmSync(`${file}.map`);
    writeFileSync(file, readFileSync(file, "utf8").replace(/\/\/# sourceMappingURL=\S+\n/, ""));
  }
}

/**
 * Declarations for every program: WebAssembly's types come from what the program declares, or from
 * here if it has neither the DOM's library nor Node's types; and no array is generic, which
 * TypeScript has only from 5.7 on, although `from` says of which buffer it is where that is known.
 */
const WASM_TYPES = `
type WasmOf<Name extends string, Otherwise> = typeof globalThis extends {
  WebAssembly: Record<Name, { prototype: infer Type }>;
} ? Type : Otherwise;
type WasmMemory = WasmOf<"Memory", { readonly buffer: ArrayBuffer; grow(delta: number): number }>;
type WasmModule = WasmOf<"Module", object>;
type WasmTable = WasmOf<"Table", { readonly length: number; get(index: number): any }>;
type WasmInstance = WasmOf<"Instance", { readonly exports: Record<string, any> }>;
type WasmImports = typeof globalThis extends {
  WebAssembly: { Instance: new (module: any, imports?: infer Imports) => any };
} ? NonNullable<Imports> : Record<string, Record<string, any>>;
type WasmModuleImports = WasmImports[string];
type OwnBytes = ReturnType<Uint8ArrayConstructor["from"]>;
`;

const portableTypes = {
  name: "declarations for every program",
  renderChunk(code) {
    const lines = code.split("\n").map((line) => {
      if (/^\s*(\/?\*|\/\/)/.test(line)) return line; // comments show what users write
      return line
        .replace(/\bWebAssembly\.(Memory|Module|Instance|Table|Imports|ModuleImports)\b/g, "Wasm$1")
        .replace(/\bUint8Array<ArrayBuffer>/g, "OwnBytes");
    });
    const text = lines.join("\n");
    const wanted = /\b(Wasm[A-Z]\w+|OwnBytes)\b/.test(text);
    return wanted ? `${text.trimEnd()}\n${WASM_TYPES}` : text;
  },
};

async function typesBuild(entries) {
  const bundle = await rollup({
    input: {
      "lib/types": `${CHUNK}types`,
      ...Object.fromEntries(entries.map(({ name, module }) => [name, `${from}/${module}.d.ts`])),
    },
    plugins: [namesakes, dts(), portableTypes],
    onwarn,
  });
  await bundle.write({
    dir: STAGE,
    format: "es",
    entryFileNames: "[name].d.ts",
    manualChunks: () => "types",
    // What a strict program without a newer lib lacks: Symbol.dispose.
    banner: '/// <reference lib="esnext.disposable" />',
  });
}

export async function packageBuild() {
  const { exports } = JSON.parse(readFileSync("package.json", "utf8"));
  const entries = entryPoints(exports);
  rmSync(STAGE, { recursive: true, force: true });
  await scriptsBuild(entries);
  await typesBuild(entries);
  for (const name of filesBelow("build/wasm").filter((path) => path.endsWith(".wasm"))) {
    copyFileSync(`build/wasm/${name}`, `${STAGE}/${name}`);
  }
  chmodSync(`${STAGE}/cli.js`, 0o755);
  folderSync(STAGE, "dist");
  binLink();
}

/** npm links the commands of dependencies, and not a package's own: `npx terrane` needs this one. */
function binLink() {
  const link = "node_modules/.bin/terrane";
  if (process.platform === "win32" || existsSync(link)) return;
  rmSync(link, { force: true });
  symlinkSync("../../dist/cli.js", link);
}
