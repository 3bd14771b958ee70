/**
 * Rewriting: every rewritten module is valid, does the same, and has a map to the original.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { instrument, ModuleEditor, readModule } from "#src/wasm/index.js";
import { fixture, other, others, plain, stripped } from "../support/fixtures.js";

const I32 = 0x7f;
const ADD = { env: { add: (a: number, b: number) => a + b } };
const all: readonly (readonly [string, () => Uint8Array<ArrayBuffer>])[] = [
  ...others.map((path) => [path, () => other(path)] as const),
  ...["modern", "threads", "exceptions", "mistakes", "operators", "boxes", "strings"].map(
    (name) => [name, () => fixture(`${name}.wasm`)] as const,
  ),
  ["stripped mistakes", () => stripped(fixture("mistakes.wasm"))],
];

/** Throws with the reason of the engine if a module is not valid. */
function validate(bytes: Uint8Array<ArrayBuffer>): void {
  if (!WebAssembly.validate(bytes)) new WebAssembly.Module(bytes);
}

for (const [name, bytes] of all) {
  test(`${name}: rewritten without a change, only debug information is removed`, () => {
    const original = bytes();
    const module = readModule(original);
    const { bytes: same } = new ModuleEditor(module).write();
    validate(same);
    const names = (m: typeof module) => m.sections.map((each) => each.name || each.id);
    const kept = names(module).filter((each) => !/^\.debug|^sourceMapping/.test(String(each)));
    assert.deepEqual(names(readModule(same)), kept);
  });

  test(`${name}: valid with imports, functions, globals, data and exports added`, () => {
    const module = readModule(bytes());
    const editor = new ModuleEditor(module);
    const log = editor.importFunction("env", "log", [I32, I32], []);
    const twice = editor.addFunction("twice", [I32], [I32], (code) => {
      code.get(0).get(0).call(log).get(0).const(2).op(0x6c);
    });
    const global = editor.addGlobal(I32, true, -5);
    editor.addExport("our global", 3, global);
    editor.addExport("twice", 0, twice);
    if (module.memories.length > 0) editor.addData(0, Uint8Array.of(1, 2, 3));
    editor.replaceFunction(module.importedFunctions, (code) => code.op(0x00));
    editor.keepOriginal(module.importedFunctions, "kept");
    validate(editor.write(undefined, "named").bytes);
  });
}

for (const [name, bytes] of all.filter(([, bytes]) => !readModule(bytes()).memories[1])) {
  test(`${name}: valid with checks`, () => {
    validate(instrument(bytes()).bytes);
  });
}

test("with added imports, exports, tables, start and references lead to the same functions", () => {
  const bytes = fixture("modern.wasm");
  const editor = new ModuleEditor(readModule(bytes));
  for (let i = 0; i < 200; i++) editor.importFunction("env", `unused${i}`, [I32], [I32]);
  const unused = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`unused${i}`, () => 0]));
  const changed = plain(editor.write().bytes, { env: { ...ADD.env, ...unused } });
  const original = plain(bytes, ADD);
  for (const name of ["fill", "tables", "vectors", "numbers", "tail", "grow"]) {
    assert.equal(changed[name]?.(9), original[name]?.(9), name);
  }
});

test("calls, tables and exports lead to a replaced function; its original can be kept", () => {
  const module = readModule(fixture("modern.wasm"));
  const editor = new ModuleEditor(module);
  const old = editor.keepOriginal(1, "old sub");
  editor.replaceFunction(1, (code) => code.get(0).get(1).call(old).const(1000).op(0x6a));
  const changed = plain(editor.write().bytes, ADD);
  const original = plain(fixture("modern.wasm"), ADD);
  assert.equal(changed.tables?.(9), (original.tables?.(9) as number) + 1000);
});

test("imports after other changes, and replaced imports, are refused", () => {
  const editor = new ModuleEditor(readModule(fixture("modern.wasm")));
  assert.throws(() => editor.replaceFunction(0, () => {}), {
    name: "RangeError",
    message: "function 0 is imported",
  });
  editor.addFunction("f", [], [], () => {});
  assert.throws(() => editor.importFunction("a", "b", [], []), {
    name: "RangeError",
    message: "function imports must be added first",
  });
});

test("an offset in a checked module leads to the original instruction", () => {
  const bytes = fixture("mistakes.wasm");
  const { offsets, module, bytes: checked } = instrument(bytes);
  const before = readModule(bytes);
  const after = readModule(checked);
  let places = 0;
  after.bodies.forEach((body, i) => {
    if (i >= before.bodies.length) return;
    const range = before.bodies[i];
    for (let at = body.code; at < body.end; at += 3) {
      const old = offsets.toOriginal(at) as number;
      assert.ok(range && old >= range.start && old <= range.end, `function ${i}: 0x${at}`);
      places++;
    }
  });
  assert.ok(places > 10_000);
  assert.equal(module.bodies.length, before.bodies.length);
});
