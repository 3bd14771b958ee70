/**
 * The package as strict TypeScript programs see it: by every version of the compiler from 5.2 on,
 * without skipLibCheck, with and without the DOM's library, and without Node's types.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../support/checkout.js";

const compilers = ["typescript-5.2", "typescript-5.6", "typescript-5.9", "typescript"];

/** The entry points that are modules. */
const entries = Object.keys(
  JSON.parse(readFileSync(join(root, "package.json"), "utf8")).exports as object,
)
  .filter((name) => !/\.(wasm|json)$/.test(name))
  .map((name) => name.replace(/^\./, "terrane"));

/** Of every entry point, with what no library declares. */
const everything = `${entries.map((name, i) => `import * as entry${i} from "${name}";`).join("\n")}
export const all = [${entries.map((_, i) => `entry${i}`).join()}];
`;

/** With the DOM's library: WebAssembly's own types go in and come out. */
const typed = `import { createHeap } from "terrane";
import { guarded } from "terrane/debug";
import { attachSizeClassHeap, createSizeClassHeap, type SizeClassHandle } from "terrane/sizeclass";
import { override } from "terrane/wasm";
const heap = createSizeClassHeap({ shared: true, onError: (code, size, text) => console.log(code, size, text) });
const handle: SizeClassHandle = heap.handle();
attachSizeClassHeap(handle).detach();
const memory: WebAssembly.Memory | undefined = createHeap().memory;
const imports: WebAssembly.Imports = { env: { ...heap.abi, ...(memory ? { memory } : {}) } };
export const compiled = WebAssembly.compile(override(new Uint8Array(8)).bytes);
export const all = [imports, createHeap, guarded];
// @ts-expect-error: there is no such option
createSizeClassHeap({ size: 5 });
`;

interface Setting {
  name: string;
  source: string;
  lib: string[];
  module: string;
  moduleResolution: string;
}

const settings: Setting[] = [
  { name: "no DOM", source: everything, lib: ["es2022"], ...resolving("nodenext", "nodenext") },
  { name: "DOM", source: everything, lib: ["es2022", "dom"], ...resolving("nodenext", "nodenext") },
  { name: "types", source: typed, lib: ["es2022", "dom"], ...resolving("nodenext", "nodenext") },
  { name: "bundler", source: typed, lib: ["es2022", "dom"], ...resolving("esnext", "bundler") },
];
/** Gone in TypeScript 7. */
const old: Setting = {
  name: "node10",
  source: typed,
  lib: ["es2022", "dom"],
  ...resolving("esnext", "node10"),
};

function resolving(module: string, moduleResolution: string) {
  return { module, moduleResolution };
}

/** What the compiler says of a program in a project that has installed the package. */
function compilerSays(compiler: string, setting: Setting): string {
  const { source, lib, module, moduleResolution } = setting;
  const folder = mkdtempSync(join(tmpdir(), "terrane-"));
  try {
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/terrane"), "junction");
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    writeFileSync(join(folder, "program.ts"), source);
    const strict = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false };
    const compilerOptions = { ...strict, noEmit: true, types: [], target: "es2022", lib, module };
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { ...compilerOptions, moduleResolution },
        files: ["program.ts"],
      }),
    );
    const tsc = join(root, "node_modules", compiler, "bin/tsc");
    return spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" }).stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const compiler of compilers) {
  for (const setting of compiler === "typescript" ? settings : [...settings, old]) {
    test(`${compiler}, ${setting.name}: a strict program compiles`, () => {
      assert.equal(compilerSays(compiler, setting), "");
    });
  }
}
