/**
 * The package: what is loaded together becomes one file, dist/lib/MODULE.js, and an entry point is
 * a file that leads there. Node takes 0.3 to 0.5 ms to load a file, so that many small ones cost
 * more than the code in them. The command line comes with what it depends on.
 */
import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  { name: "cli", module: "cli/main" },
  { name: "lib/worker", module: "trace/worker" },
  { name: "lib/member", module: "trace/member" },
];

/** Those that serve without the heap's core, and so must not load it. */
const heapless = ["memory/index", "sizeclass/index", "wasm/index"];

/** Circles among them: whoever bundles the package would be warned of each. */
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
  if (path === "heap/hardening.js" || /^core\/embed\/core-.*hard/.test(path)) return "hardening";
  if (path.startsWith("sizeclass/embed")) return "sizeclass";
  const [module] = path.split("/");
  // Programs have their code in their own files: it runs when they are loaded.
  if (module === "cli" || programs.some((program) => path === `${program.module}.js`)) return;
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

async function scriptsBuild(entries) {
  const [reached, base] = [new Set(), new Set()];
  for (const { module } of [...entries, ...programs]) reach(`${module}.js`, reached);
  for (const module of heapless) reach(`${module}.js`, base);
  const chunks = new Set([...reached].flatMap((path) => chunkOf(path, base) ?? []));
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
    manualChunks: (id) => {
      if (id.startsWith(CHUNK)) return id.slice(CHUNK.length);
      return id.startsWith(from) ? chunkOf(relative(from, id), base) : undefined;
    },
    minifyInternalExports: false,
    hoistTransitiveImports: false,
    sourcemap: true,
  });
  mapsSweep();
}

/** A file that only leads elsewhere has nothing to map. */
function mapsSweep() {
  for (const name of filesBelow(STAGE).filter((path) => path.endsWith(".js"))) {
    const file = `${STAGE}/${name}`;
    if (JSON.parse(readFileSync(`${file}.map`, "utf8")).mappings !== "") continue;
    rmSync(`${file}.map`);
    writeFileSync(file, readFileSync(file, "utf8").replace(/\/\/# sourceMappingURL=\S+\n/, ""));
  }
}

async function typesBuild(entries) {
  const bundle = await rollup({
    input: {
      "lib/types": `${CHUNK}types`,
      ...Object.fromEntries(entries.map(({ name, module }) => [name, `${from}/${module}.d.ts`])),
    },
    plugins: [namesakes, dts()],
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
  for (const name of ["dlmalloc", "tlsf"]) {
    copyFileSync(`bench/rivals/${name}.wasm`, `${STAGE}/lib/${name}.wasm`);
  }
  chmodSync(`${STAGE}/cli.js`, 0o755);
  folderSync(STAGE, "dist");
}
