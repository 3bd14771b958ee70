/**
 * Makes one core of the one source in the dialect: compiled by AssemblyScript, or as a JavaScript
 * factory. `node scripts/core.mjs NAME wasm|js OUT`: a process of its own, since the compilers take
 * a second to load and two run at once.
 */
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import asc from "assemblyscript/asc";
import { rollup } from "rollup";
import { minify } from "terser";
import { checkedCores, cores } from "./core-table.mjs";

/** asc wants import paths without ending. */
function readSource(name, instead) {
  const path = name.replace(/^(.*\bsrc\/)(.+)\.ts$/, (whole, before, module) =>
    instead[module] ? `${before}${instead[module]}.ts` : whole,
  );
  try {
    return readFileSync(path, "utf8").replace(/ from "(\.\.?\/[^"]+)\.ts"/g, ' from "$1"');
  } catch {
    return null;
  }
}

/** Functions of the core with `// @cold` above them: called, and never inlined. */
function coldNames() {
  const names = readdirSync("src/core", { recursive: true }).filter((name) => /\.ts$/.test(name));
  const texts = names.map((name) => readFileSync(`src/core/${name}`, "utf8"));
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
async function buildWasm({ name, entry, wasm, options = [] }, out) {
  const fixed = ["-O3", "--converge", "--noAssert", "--runtime", "stub", "--importMemory"];
  // 201: usize and u32 differ on 64 bits only, which is another build.
  const all = [...fixed, "--disableWarning", "201", ...options];
  const { error, stderr } = await asc.main(
    [`src/${entry}.ts`, ...all, "-o", out, "-t", out.replace(/\.wasm$/, ".wat")],
    { readFile: (path) => readSource(path, wasm), transforms: [ColdApart] },
  );
  if (!error) {
    moduleName(out, `terrane-${name.replace(/-check$/, "")}`);
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
      if (!importer || !source.startsWith(".")) return null;
      // A stand-in may stand on what it stands in for.
      if (/-step\.js$/.test(importer)) return null;
      const module = relative("build/src", join(importer, "..", source)).replace(/\.js$/, "");
      return instead[module] ? join(process.cwd(), `build/src/${instead[module]}.js`) : null;
    },
  };
}

/**
 * Rollup keeps top-level `const` and terser folds the constants into the code, which V8 24 does not
 * do for itself: together 1.7x on a larson-like loop. Functions stay as they are: terser inlines
 * them as calls of function expressions, which cost 1.4x.
 */
async function buildFactory({ entry, js }, out) {
  const bundle = await rollup({ input: `build/src/${entry}.js`, plugins: [standIns(js)] });
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

const [name, kind, out] = process.argv.slice(2);
const build = [...cores, ...checkedCores].find((core) => core.name === name);
await (kind === "wasm" ? buildWasm(build, out) : buildFactory(build, out));
