/** Extra locals: a name is one local, and two features cannot take the same one by accident. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { ExtraLocals, nameByType } from "#src/wasm/module/locals.js";
import { F64, I32, I64 } from "#src/wasm/module/value-types.js";
import { CodeWriter } from "#src/wasm/module/writer.js";
import { root } from "../../support/checkout.js";

test("the same name and position give the same local, others another", () => {
  const locals = new ExtraLocals();
  locals.reset(3);
  assert.equal(locals.index("address", I32), 3);
  assert.equal(locals.index("value", I64), 4);
  assert.equal(locals.index("row", I32, 7), 5);
  assert.equal(locals.index("row", I64, 2), 6);
  assert.equal(locals.index("address", I32), 3);
  assert.equal(locals.index("row", I64, 2), 6);
  assert.deepEqual(locals.types, [I32, I64, I32, I64]);
  locals.reset(0);
  assert.deepEqual(locals.types, []);
  assert.equal(locals.index("value", F64), 0);
});

test("a name that exists with another type is refused", () => {
  const code = new CodeWriter();
  code.reset(1);
  assert.equal(code.local("address", I32), 1);
  const message = 'the local "address" exists with another type; choose another name';
  assert.throws(() => code.local("address", I64), { name: "TypeError", message });
  assert.equal(code.local("address", I32), 1);
});

test("names by type differ", () => {
  const name = nameByType("operand");
  assert.equal(name(I32), "operand of type 0x7f");
  assert.notEqual(name(I32), name(I64));
});

test("every name stands once in the source: features share a local by a function only", () => {
  const files = readdirSync(`${root}src/wasm`, { recursive: true }).map(String);
  const names = files
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => {
      const text = readFileSync(`${root}src/wasm/${file}`, "utf8");
      return [...text.matchAll(/(?:\.local|nameByType)\(\s*"([^"]+)"/g)].map((match) => match[1]);
    });
  assert.ok(names.length > 20);
  assert.deepEqual(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
});
