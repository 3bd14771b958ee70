/** Programs of the npm registry run under the checker: same output, nothing reported. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findAllocator, formatReport, instrument, readModule } from "#src/wasm/index.js";
import {
  formatter,
  quickJs,
  realChecked,
  realPrograms,
  renderer,
  sqlite,
} from "../support/programs.js";

const SIZE = Number(process.env.TERRANE_JOB_SIZE ?? 1);

for (const program of realPrograms) {
  test(`${program.name}: same output under the checker, and no report`, async () => {
    const wanted = await program.run(program.bytes, SIZE);
    const { checker, result } = await realChecked(program, SIZE);
    assert.equal(result, wanted);
    const reports = [...checker.reports, ...checker.leaks().reports];
    assert.deepEqual(reports.map(formatReport), []);
    assert.ok(checker.instrumented.checks > 5000);
  });
}

test("their allocators are found", () => {
  const found = (program: { bytes: Uint8Array }) =>
    findAllocator(readModule(program.bytes)).map(({ role, source, sure }) => {
      return `${role.name} (${role.params}) ${source} ${sure}`;
    });
  assert.deepEqual(found(sqlite), [
    "malloc (size) export certain",
    "free (ptr) export certain",
    "realloc (ptr,size) export certain",
    "memalign (align,size) export certain",
  ]);
  assert.deepEqual(found(quickJs), [
    "malloc (size) shape likely",
    "free (ptr) shape likely",
    "realloc (ptr,size) shape likely",
  ]);
  assert.ok(found(formatter).every((each) => each.endsWith("name certain")));
  // The functions that wasm-bindgen's exports call: the module has no names.
  assert.deepEqual(found(renderer).sort(), [
    "__rust_realloc (ptr,old,align,size) export certain",
    "free (ptr) export certain",
    "malloc (size) export certain",
    "memalign (align,size) export certain",
  ]);
});

test("an allocator without names is proven, and replaced in checked programs", () => {
  const { mode, functions } = instrument(quickJs.bytes);
  assert.equal(mode, "replace");
  const found = findAllocator(readModule(quickJs.bytes)).map((each) => each.index);
  const indices = functions.map((each) => each.index);
  assert.ok(
    found.every((index) => indices.includes(index)),
    `${found} ${indices}`,
  );
});
