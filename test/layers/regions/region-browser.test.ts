/** Regions in a bundle and in a browser: without Node and without async context. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";
import { rollup } from "rollup";
import { dist } from "../../support/checkout.js";

async function bundled(entry: string): Promise<string> {
  const input = `${dist}${entry}`;
  const bundle = await rollup({ input, onwarn: ({ message }) => assert.fail(message) });
  const { output } = await bundle.generate({ format: "iife", name: "terrane" });
  assert.deepEqual([output.length, output[0].imports.length], [1, 0]);
  return output[0].code;
}

test("the bundled layers import nothing, and regions work without Node", async () => {
  const names = ["WebAssembly", "atob", "TextEncoder", "TextDecoder"];
  const browser = Object.fromEntries(names.map((name) => [name, Reflect.get(globalThis, name)]));
  const context = createContext(browser);
  runInContext(await bundled("layers.js"), context);
  const answer = runInContext(
    `const { arena, currentRegion, enter, escape, getGroundRegion, regionsCrossAwait } = terrane;
     const kept = enter(arena, (region) => {
       for (let i = 0; i < 1000; i++) currentRegion().malloc(i);
       region.defer(() => {});
       return escape(() => currentRegion().allocString("escaped"));
     });
     const { bytes, allocations, frees } = getGroundRegion().stats();
     const text = getGroundRegion().readString(kept.ptr, 7);
     [text, bytes, allocations - frees, regionsCrossAwait].join()`,
    context,
  );
  assert.equal(answer, "escaped,7,1,false");
});

test("terrane/managed imports nothing either", async () => {
  await bundled("managed.js");
});
