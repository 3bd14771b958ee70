/** The package as a strict TypeScript program sees it, without Node's types and without mercy. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const tsc = join(root, "node_modules/typescript/bin/tsc");

/** The entry points that are modules for programs: reporters are for runners. */
const entries = Object.keys(
  JSON.parse(readFileSync(join(root, "package.json"), "utf8")).exports as object,
)
  .filter((name) => !/-reporter$|\.(wasm|json)$/.test(name))
  .map((name) => name.replace(/^\./, "terrane"));

const program = `${entries.map((name, i) => `import * as room${i} from "${name}";`).join("\n")}
import { createHeap } from "terrane";
import { guarded } from "terrane/debug";
import { attachSizeClass, sizeClass, type SizeClassHandle } from "terrane/sizeclass";
const heap = sizeClass({ shared: true, onError: (code, size, text) => console.log(code, size, text) });
const handle: SizeClassHandle = heap.handle();
attachSizeClass(handle).detach();
const imports: WebAssembly.Imports = { env: { ...heap.abi } };
export const all = [${entries.map((_, i) => `room${i}`).join()}, imports, createHeap, guarded];
// @ts-expect-error: there is no such option
sizeClass({ size: 5 });
`;

for (const [module, moduleResolution] of [
  ["node16", "node16"],
  ["esnext", "bundler"],
] as const) {
  test(`a strict program compiles by ${moduleResolution}`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), "terrane-"));
    t.after(() => rmSync(folder, { recursive: true }));
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/terrane"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    writeFileSync(join(folder, "program.ts"), program);
    const options = { strict: true, exactOptionalPropertyTypes: true, noEmit: true, types: [] };
    const lib = ["es2022", "dom"];
    const compilerOptions = { ...options, target: "es2022", lib, module, moduleResolution };
    const files = ["program.ts"];
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    const { stdout } = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
    assert.equal(stdout, "");
  });
}
