/** Programs of the npm registry run on our heap with the same output, in their own loaders. */
import assert from "node:assert/strict";
import { test } from "node:test";
import sqlite3InitModule from "@sqlite.org/sqlite-wasm";
import { createEmscriptenHooks, override } from "#src/wasm/index.js";
import {
  formatter,
  quickJs,
  realPrograms,
  renderer,
  sqlite,
  treeSitterParser,
} from "../support/programs.js";

const SIZE = Number(process.env.TERRANE_JOB_SIZE ?? 1);

for (const program of realPrograms) {
  test(`${program.name}: same output on our heap`, async () => {
    const { bytes, report } = override(program.bytes, program.options);
    assert.ok(WebAssembly.validate(bytes));
    // Modules that tree-sitter loads into its memory import malloc from it.
    assert.equal(report.notes.length, program === treeSitterParser ? 1 : 0);
    assert.equal(await program.run(bytes, SIZE), await program.run(program.bytes, SIZE));
  });
}

test("createEmscriptenHooks brings the overridden module into emscripten's loader", async () => {
  const init = sqlite3InitModule as (hooks: object) => ReturnType<typeof sqlite3InitModule>;
  const overridden = override(sqlite.bytes);
  const { oo1, wasm } = await init(createEmscriptenHooks(overridden));
  const db = new oo1.DB(":memory:");
  assert.deepEqual(db.selectValue("select sum(length(randomblob(1000000))) from (select 1)"), 1e6);
  db.close();
  // JavaScript renews its views after our heap has grown.
  const before = wasm.heap8().byteLength;
  const ptr = wasm.alloc(before);
  assert.ok(wasm.heap8().byteLength > before);
  wasm.heap8().fill(7, ptr, ptr + before);
  wasm.dealloc(ptr);
  const names = new Set(overridden.report.functions.map((each) => each.role.name));
  assert.ok(names.has("malloc"));
});

test("an imported heap does not work with emscripten's JavaScript, and says so", () => {
  for (const program of [sqlite, treeSitterParser]) {
    const { report } = override(program.bytes, { form: "import" });
    assert.match(
      report.notes.join(),
      /^its JavaScript grows the memory and has views of it, which become empty when/,
    );
  }
  assert.deepEqual(override(renderer.bytes, { form: "import" }).report.notes, []);
});

test("pages come from emscripten's sbrk if there is one, otherwise from memory.grow", () => {
  const pages = (program: typeof sqlite) => {
    const { report } = override(program.bytes, program.options);
    return [report.pages.replace(/\d+/, "N"), report.functions.map((each) => each.fate).join()];
  };
  assert.deepEqual(pages(sqlite), ["function N", "replaced,replaced,replaced,kept,replaced"]);
  assert.deepEqual(pages(quickJs), ["function N", "replaced,replaced,replaced"]);
  assert.deepEqual(pages(treeSitterParser)[0], "function N");
  assert.deepEqual(pages(formatter)[0], "memory.grow");
  assert.match(`${pages(renderer)}`, /^memory.grow,(?:replaced,){4}(?:,?kept)+$/);
});
