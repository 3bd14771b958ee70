/** The package as a bundler and a browser see it: no file, no network, nothing of Node. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { rollup } from "rollup";

const dist = fileURLToPath(new URL("../../../dist/", import.meta.url));

async function bundle(entry: string): Promise<string> {
  const built = await rollup({
    input: dist + entry,
    onwarn: (warning) => assert.fail(warning.message),
  });
  const { output } = await built.generate({ format: "iife", name: "terrane" });
  assert.equal(output.length, 1);
  assert.deepEqual(output[0].imports, []);
  return output[0].code;
}

/** What every browser has, and nothing else. */
function browserGlobals(): object {
  const names = ["WebAssembly", "atob", "TextEncoder", "TextDecoder", "structuredClone"];
  return Object.fromEntries(names.map((name) => [name, Reflect.get(globalThis, name)]));
}

for (const backend of ["wasm", "js"]) {
  test(`${backend}: the bundled package runs where there is no Node`, async () => {
    const context = createContext(browserGlobals());
    runInContext(await bundle("index.js"), context);
    const answer = runInContext(
      `const heap = terrane.createHeap({ backend: ${JSON.stringify(backend)} });
       const text = heap.allocString("a bundled heap", { terminate: true });
       for (let i = 0; i < 1000; i++) heap.malloc(i * 10);
       heap.readString(text.ptr) + " of " + heap.stats().blocks`,
      context,
    );
    assert.equal(answer, "a bundled heap of 1001");
  });
}

test("the entry points import nothing at run time", async () => {
  for (const entry of ["index.js", "memory/index.js", "mempool/index.js"]) await bundle(entry);
});

test("core.wasm as a file is the core that is embedded", () => {
  const embedded = readFileSync(`${dist}embed/core-wasm.js`, "utf8");
  assert.ok(embedded.includes(readFileSync(`${dist}core.wasm`).toString("base64")));
  assert.ok(readdirSync(dist).includes("core.wasm"));
});
