/** The debug allocator in a bundle and without Node, as in a browser. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";
import { rollup } from "rollup";
import { dist } from "../support/checkout.js";

async function bundle(): Promise<string> {
  const entry = "\0entry";
  const built = await rollup({
    input: entry,
    plugins: [
      {
        name: "entry",
        resolveId: (id) => (id === entry ? id : null),
        load: (id) =>
          id === entry ? `export * from "${dist}index.js"; export * from "${dist}debug.js";` : null,
      },
    ],
    onwarn: (warning) => assert.fail(warning.message),
  });
  const { output } = await built.generate({ format: "iife", name: "terrane" });
  assert.deepEqual(output[0].imports, []);
  return output[0].code;
}

test("bundled, where there is no Node: reports have stacks of the program, and go to console", async () => {
  const names = ["WebAssembly", "atob", "TextEncoder", "TextDecoder", "structuredClone"];
  const globals = Object.fromEntries(names.map((name) => [name, Reflect.get(globalThis, name)]));
  const printed: string[] = [];
  const context = createContext({
    ...globals,
    console: { error: (text: string) => printed.push(text) },
  });
  runInContext(await bundle(), context, { filename: "http://x/all.js" });
  const program = `
    const heap = terrane.debug(terrane.createHeap());
    function make() { return heap.malloc(10); }
    make();
    heap.destroy();`;
  assert.equal(runInContext(program, context, { filename: "http://x/app.js" }), "leak");
  assert.equal(printed.length, 1);
  const [message, title, ...frames] = (printed[0] as string).split("\n");
  assert.equal(message, "leak: 1 block of 10 bytes never freed");
  assert.match(title as string, /^ {2}1 block of 10 bytes \(0x[0-9a-f]+\) allocated:$/);
  assert.equal(frames[0], "    at make (http://x/app.js:3:35)");
  assert.equal(frames[1], "    at http://x/app.js:4:5");
});
