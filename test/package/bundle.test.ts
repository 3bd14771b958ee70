/** The package as a bundler and a browser see it: no file, no network, nothing of Node. */
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";
import { gzipSync } from "node:zlib";
import { rollup } from "rollup";
import { minify } from "terser";
import { dist, root } from "../support/checkout.js";

interface Bundle {
  code: string;
  /** What an engine would load without bundling. */
  files: string[];
}

/** A program that exports some of the package's names; entry points begin with `terrane/`. */
async function bundle(source: string): Promise<Bundle> {
  const program = "\0program";
  const built = await rollup({
    input: program,
    plugins: [
      {
        name: "program",
        resolveId: (id) => {
          if (id === program) return id;
          return id.startsWith("terrane/") ? dist + id.slice("terrane/".length) : null;
        },
        load: (id) => (id === program ? source : null),
      },
    ],
    onwarn: (warning) => assert.fail(warning.message),
  });
  const { output } = await built.generate({ format: "iife", name: "terrane" });
  assert.equal(output.length, 1);
  assert.deepEqual(output[0].imports, []);
  return { code: output[0].code, files: built.watchFiles };
}

/** What every browser has, and nothing else. */
function browserGlobals(): object {
  const names = ["WebAssembly", "atob", "TextEncoder", "TextDecoder", "structuredClone"];
  return Object.fromEntries(names.map((name) => [name, Reflect.get(globalThis, name)]));
}

const whole = (entry: string) => `export * from "terrane/${entry}";`;

for (const [backend, options] of [
  ["wasm", ""],
  ["js", "{ backend: terrane.javascript }"],
]) {
  test(`${backend}: the bundled package runs where there is no Node`, async () => {
    const context = createContext(browserGlobals());
    runInContext((await bundle(whole("index.js") + whole("javascript.js"))).code, context);
    const result = runInContext(
      `const heap = terrane.createHeap(${options});
       const text = heap.allocString("a bundled heap", { terminate: true });
       for (let i = 0; i < 1000; i++) heap.malloc(i * 10);
       [heap.backend, heap.readString(text.ptr), heap.stats().blocks].join()`,
      context,
    );
    assert.equal(result, `${backend},a bundled heap,1001`);
  });
}

interface EntryCost {
  entry: string;
  /** How many files an engine loads for it. */
  files: number;
  /** The most KiB of code in them, as they stand. */
  kib: number;
}

/** What it costs to import each entry point: figures of docs/internals/performance.md, rounded up. */
const costs: EntryCost[] = [
  { entry: "index.js", files: 3, kib: 330 },
  { entry: "javascript.js", files: 4, kib: 480 },
  { entry: "shared.js", files: 4, kib: 380 },
  { entry: "hardening.js", files: 4, kib: 570 },
  { entry: "memory.js", files: 2, kib: 155 },
  { entry: "mempool.js", files: 2, kib: 25 },
  { entry: "sizeclass.js", files: 3, kib: 465 },
  { entry: "layers.js", files: 4, kib: 590 },
  { entry: "managed.js", files: 5, kib: 630 },
  { entry: "debug.js", files: 6, kib: 820 },
  { entry: "wasm.js", files: 3, kib: 635 },
];

for (const { entry, files, kib } of costs) {
  test(`${entry}: imports nothing at run time, and no more of our own than it needs`, async () => {
    const { files: loaded } = await bundle(whole(entry));
    assert.ok(loaded.length <= files, loaded.join("\n"));
    const bytes = loaded.reduce((sum, file) => sum + statSync(file).size, 0);
    assert.ok(bytes <= kib * 1024, `${entry} loads ${bytes} bytes`);
  });
}

test("every entry point of the package has its limit", () => {
  const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  const paths = Object.keys(exports as object)
    .filter((path) => !/-reporter$|\.(wasm|json)$/.test(path))
    .map((path) => (path === "." ? "index.js" : `${path.slice(2)}.js`));
  assert.deepEqual(paths.sort(), costs.map(({ entry }) => entry).sort());
});

test("a program that only makes heaps bundles no more than them", async (t) => {
  const { code } = await bundle('export { createHeap } from "terrane/index.js";');
  const { code: small = "" } = await minify(code);
  assert.ok(small.length <= 92 * 1024, `${small.length} bytes minified`);
  const packed = gzipSync(small).length;
  t.diagnostic(`${small.length} bytes minified, ${packed} with gzip`);
  assert.ok(packed <= 30 * 1024, `${packed} bytes with gzip`);
  assert.ok(code.includes(base64Of("core.wasm")), "the file is the core that is embedded");
  const others = ["core-shared.wasm", "core-hard.wasm", "core-shared-hard.wasm", "sizeclass.wasm"];
  for (const file of others) assert.ok(!code.includes(base64Of(file)), `${file} is in the bundle`);
});

function base64Of(file: string): string {
  return readFileSync(dist + file).toString("base64");
}
