/**
 * Builds everything under dist/: the core by AssemblyScript and as a JavaScript factory, both also
 * embedded as modules, and the TypeScript around them. `--check` adds, under build/, the cores with
 * validity walks that the tests use.
 */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import { rollup } from "rollup";
import { minify } from "terser";
import { roomsBuild } from "./rooms.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);

/**
 * The builds of the core: for one thread, and for threads that share a memory; plain and hardened.
 * Each names the files that stand in for others, first for AssemblyScript, then for JavaScript.
 */
const glue = { glue: "glue.as", "glue-hard": "glue-hard.as" };
const plain = { hardening: "hardening-none" };
const one = { atomics: "atomics-single" };
const many = { slices: "slices-shared" };
const manyWasm = { ...many, atomics: "atomics.as" };
// The memory that is imported may have any size and any maximum.
const threads = ["--enable", "threads", "--sharedMemory", "--maximumMemory", "65536"];
const cores = [
  {
    name: "core",
    entry: "core/index",
    wasm: { ...glue, ...one, ...plain },
    js: { ...one, ...plain },
    options: [],
  },
  {
    name: "core-shared",
    entry: "core/index-shared",
    wasm: { ...glue, ...manyWasm, ...plain },
    js: { ...many, ...plain },
    options: threads,
  },
  {
    name: "core-hard",
    entry: "core/index-hard",
    wasm: { ...glue, ...one },
    js: one,
    options: [],
  },
  {
    name: "core-shared-hard",
    entry: "core/index-shared-hard",
    wasm: { ...glue, ...manyWasm },
    js: many,
    options: threads,
  },
];

/**
 * The size-class allocator, from src/sizeclass in the same dialect: for one thread, for threads, and
 * for addresses beyond 2^32, which only JavaScript has.
 */
const sizeclasses = [
  {
    name: "sizeclass",
    entry: "sizeclass/exports",
    wasm: { ...glue, ...one, space: "space.as" },
    js: one,
    options: [],
  },
  {
    name: "sizeclass-shared",
    entry: "sizeclass/exports",
    wasm: { ...glue, atomics: "atomics.as", space: "space.as" },
    js: {},
    options: threads,
  },
];
const sizeclassWide = {
  name: "sizeclass-wide",
  entry: "sizeclass/exports",
  js: { glue: "../sizeclass/glue-wide", ...one, space: "space-wide" },
};

/** The shared builds under a scheduler: only in JavaScript, only for tests. */
const step = { ...many, atomics: "atomics-step", glue: "glue-step" };
const stepped = [
  { entry: "core/index-shared-check", out: "core-stepped", js: { ...step, ...plain } },
  { entry: "core/index-shared-hard-check", out: "core-stepped-hard", js: step },
  // Its structures stand under locks: plain accesses are steps too, where they race.
  {
    entry: "sizeclass/exports",
    out: "sizeclass-stepped",
    js: { atomics: "atomics-step", glue: "glue-each-step" },
  },
];

/** asc wants import paths without ending. */
function readSource(name, instead) {
  const path = name.replace(/(^|\/)(core|sizeclass)\/([\w-]+)\.ts$/, (whole, before, room, file) =>
    instead[file] ? `${before}${room}/${instead[file]}.ts` : whole,
  );
  try {
    return readFileSync(path, "utf8").replace(/ from "(\.\.?\/[^"]+)\.ts"/g, ' from "$1"');
  } catch {
    return null;
  }
}

/** Functions of the core with `// @cold` above them: called, and never inlined. */
function coldNames() {
  const texts = readdirSync("src/core").map((name) => readFileSync(`src/core/${name}`, "utf8"));
  const marked = /^\/\/ @cold\n(?:export )?function (\w+)/gm;
  return new Set(texts.flatMap((text) => [...text.matchAll(marked)].map((match) => match[1])));
}

/**
 * asc inlines whatever has up to 70 nodes, for speed; where nobody is in a hurry that is only size,
 * a fifth of the core. With --shrinkLevel the fast paths would change as well.
 */
class ColdApart {
  afterCompile(module) {
    for (const name of coldNames()) {
      this.binaryen.setPassArgument("no-inline", `*/${name}`);
      module.runPasses(["no-inline"]);
    }
  }
}

/** asc also says how its optimiser fared; only errors are worth a line. */
async function buildWasm(build, entry, out) {
  const options = ["-O3", "--converge", "--noAssert", "--runtime", "stub", "--importMemory"];
  // 201: usize and u32 differ on 64 bits only, which is another build.
  options.push("--disableWarning", "201", ...build.options);
  const { error, stderr } = await asc.main(
    [`src/${entry}.ts`, ...options, "-o", `${out}.wasm`, "-t", `${out}.wat`],
    { readFile: (name) => readSource(name, build.wasm), transforms: [ColdApart] },
  );
  if (!error) {
    moduleName(`${out}.wasm`, `terrane-${build.name}`);
    return;
  }
  process.stderr.write(stderr.toString());
  throw error;
}

/** Stack traces name the frames of a module by it, and our own leave them out. */
function moduleName(file, name) {
  const section = [...Buffer.from("\x04name\x00"), name.length + 1, name.length];
  const body = [...section, ...Buffer.from(name)];
  appendFileSync(file, Uint8Array.from([0, body.length, ...body]));
}

function standIns(instead) {
  return {
    name: "stand-ins",
    resolveId(source, importer) {
      const [, folder, file] = /^(\.\.?\/(?:core\/)?)([\w-]+)\.js$/.exec(source) ?? [];
      if (!importer || !file || !instead[file]) return null;
      // A stand-in may stand on what it stands in for.
      if (/-step\.js$/.test(importer)) return null;
      return join(dirname(importer), folder, `${instead[file]}.js`);
    },
  };
}

/**
 * Rollup keeps top-level `const` and terser folds the constants into the code, which V8 24 does not
 * do for itself: together 1.7x on a larson-like loop. Functions stay as they are: terser inlines
 * them as calls of function expressions, which cost 1.4x.
 */
async function buildFactory(build, entry, out) {
  const plugins = [standIns(build.js)];
  const bundle = await rollup({ input: `dist/${entry}.js`, plugins });
  const { output } = await bundle.generate({ format: "es" });
  const body = output[0].code.replace(/export \{([^}]*)\};\s*$/, (_, names) => {
    const pairs = names.split(",").map((name) => name.trim().split(/\s+as\s+/));
    return `return { ${pairs.map(([from, to]) => `${to ?? from}: ${from}`).join(", ")} };`;
  });
  const source = `export function createCore(host) {\n${body}}\n`;
  const { code } = await minify(source, {
    module: true,
    mangle: false,
    compress: { passes: 3, inline: 0, reduce_funcs: false, hoist_props: false, sequences: false },
    format: { beautify: true, indent_level: 1 },
  });
  writeFileSync(out, `${code}\n`);
}

function embedWasm(build) {
  const base64 = readFileSync(`dist/${build.name}.wasm`).toString("base64");
  const name = `${build.name}-wasm`.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
  writeFileSync(`dist/embed/${build.name}-wasm.js`, `export const ${name} = "${base64}";\n`);
}

function copyDeclarations() {
  for (const name of readdirSync("src/embed")) {
    if (name.endsWith(".d.ts")) copyFileSync(`src/embed/${name}`, `dist/embed/${name}`);
  }
  copyFileSync("src/core/dialect.d.ts", "dist/core/dialect.d.ts");
}

function copyRivals() {
  mkdirSync("dist/trace", { recursive: true });
  for (const name of ["dlmalloc", "tlsf"]) {
    copyFileSync(`bench/rivals/${name}.wasm`, `dist/trace/${name}.wasm`);
  }
}

rmSync("dist", { recursive: true, force: true });
mkdirSync("dist/embed", { recursive: true });
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "."], {
  stdio: "inherit",
});
for (const build of [...cores, ...sizeclasses]) {
  await buildWasm(build, build.entry, `dist/${build.name}`);
  await buildFactory(build, build.entry, `dist/embed/${build.name}-js.js`);
  embedWasm(build);
}
await buildFactory(sizeclassWide, sizeclassWide.entry, "dist/embed/sizeclass-wide-js.js");
copyDeclarations();
copyRivals();
if (process.argv.includes("--check")) {
  mkdirSync("build/check", { recursive: true });
  for (const build of cores) {
    await buildWasm(build, `${build.entry}-check`, `build/check/${build.name}`);
    await buildFactory(build, `${build.entry}-check`, `build/check/${build.name}.js`);
  }
  for (const { entry, out, js } of stepped) {
    await buildFactory({ js }, entry, `build/check/${out}.js`);
  }
}
await roomsBuild();
