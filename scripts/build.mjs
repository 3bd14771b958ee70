/**
 * Builds everything under dist/: the core by AssemblyScript and as a JavaScript factory, both also
 * embedded as modules, and the TypeScript around them. `--check` adds, under build/, the cores with
 * validity walks that the tests use.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import { rollup } from "rollup";
import { minify } from "terser";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);

/** asc wants import paths without ending, and takes glue.as.ts for glue.ts. */
function readSource(name) {
  const path = name.replace(/(^|\/)core\/glue\.ts$/, "$1core/glue.as.ts");
  try {
    return readFileSync(path, "utf8").replace(/ from "(\.\/[^"]+)\.ts"/g, ' from "$1"');
  } catch {
    return null;
  }
}

/** asc also says how its optimiser fared; only errors are worth a line. */
async function buildWasm(entry, out) {
  const options = ["-O3", "--converge", "--noAssert", "--runtime", "stub", "--importMemory"];
  // 201: usize and u32 differ on 64 bits only, which is another build.
  options.push("--disableWarning", "201");
  const { error, stderr } = await asc.main(
    [`src/core/${entry}.ts`, ...options, "-o", `${out}.wasm`, "-t", `${out}.wat`],
    { readFile: readSource },
  );
  if (!error) return;
  process.stderr.write(stderr.toString());
  throw error;
}

/**
 * Rollup keeps top-level `const` and terser folds the constants into the code, which V8 24 does not
 * do for itself: together 1.7x on a larson-like loop. Functions stay as they are: terser inlines
 * them as calls of function expressions, which cost 1.4x.
 */
async function buildFactory(entry, out) {
  const bundle = await rollup({ input: `dist/core/${entry}.js` });
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

function embedWasm() {
  const base64 = readFileSync("dist/core.wasm").toString("base64");
  writeFileSync("dist/embed/core-wasm.js", `export const coreWasm = "${base64}";\n`);
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
await buildWasm("index", "dist/core");
await buildFactory("index", "dist/embed/core-js.js");
embedWasm();
copyDeclarations();
copyRivals();
if (process.argv.includes("--check")) {
  mkdirSync("build/check", { recursive: true });
  await buildWasm("index-check", "build/check/core");
  await buildFactory("index-check", "build/check/core.js");
}
