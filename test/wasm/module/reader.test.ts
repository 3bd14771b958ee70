/** Reading: real modules of many kinds, and files that are damaged in every way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ModuleError, readModule } from "#src/wasm/index.js";
import { Random, seedOf } from "../../support/random.js";
import { fixture, moduleOf, other, others, section } from "../support/fixtures.js";

const TYPE = section(1, 1, 0x60, 0, 0);
const FUNCTION = section(3, 1, 0);
const code = (...body: number[]) => section(10, 1, body.length, ...body);

test("a module's parts are found", () => {
  const module = readModule(fixture("modern.wasm"));
  assert.deepEqual(
    module.exports.map((each) => each.name),
    ["memory", "fill", "tables", "vectors", "numbers", "tail", "grow"],
  );
  assert.equal(module.importedFunctions, 1);
  assert.equal(module.functions.length, 10);
  assert.equal(module.memories[0]?.limits.min, 1);
  assert.deepEqual(
    module.data.map((each) => [each.address, each.passive, each.end - each.start]),
    [
      [64, false, 8],
      [undefined, true, 5],
    ],
  );
  assert.deepEqual(module.globals[0]?.init?.value, 3);
  assert.deepEqual([...new Set(module.referenced)].sort(), [0, 1, 2]);
});

test("memories of 64 bits and several memories are read", () => {
  assert.equal(readModule(fixture("memory64.wasm")).memories[0]?.limits.is64, true);
  assert.equal(readModule(fixture("memories.wasm")).memories.length, 2);
  assert.equal(readModule(fixture("threads.wasm")).memories[0]?.limits.shared, true);
});

test("exception handling with exnref is read", () => {
  // (try_table (catch_all_ref 0) (call 0)) (throw_ref)
  const body = [0, 0x02, 0x69, 0x1f, 0x40, 1, 3, 0, 0x10, 0, 0x0b, 0x00, 0x0b, 0x0a, 0x0b];
  const module = readModule(moduleOf(TYPE, FUNCTION, code(...body)));
  assert.deepEqual(module.code.calls, [[0]]);
});

/** Bytes, the whole error message. */
const DAMAGED: readonly (readonly [string, Uint8Array, string])[] = [
  ["another format", Uint8Array.from([0x7f, 0x45, 0x4c, 0x46]), "not a WebAssembly file"],
  ["a component", Uint8Array.from([0, 97, 115, 109, 13, 0, 1, 0]), "not supported: a component"],
  ["version 2", Uint8Array.from([0, 97, 115, 109, 2, 0, 0, 0]), "not version 1"],
  ["an empty file", new Uint8Array(), "header ends too early"],
  ["an unknown section", moduleOf(section(14)), "byte 0x8: no section has the id 14"],
  ["a section twice", moduleOf(TYPE, TYPE), "byte 0xe: type section appears twice or too late"],
  [
    "a section that is too long",
    moduleOf([1, 100, 1]),
    "byte 0xa: type section has 100 bytes, but only 1 are there",
  ],
  ["bytes behind a section", moduleOf(section(1, 0, 9)), "type section has bytes left over"],
  ["garbage-collected types", moduleOf(section(1, 1, 0x5f, 0)), "not supported: garbage-collected"],
  ["an unknown value type", moduleOf(section(1, 1, 0x60, 1, 0x44, 0)), "value type 0x44"],
  ["a number that is too long", moduleOf(section(1, 255, 255, 255, 255, 255, 1)), "32 bits"],
  ["no code", moduleOf(TYPE, FUNCTION), "1 functions are declared, 0 have code"],
  ["no such type", moduleOf(TYPE, section(3, 1, 4)), "function section: there is no type 4"],
  [
    "an unknown instruction",
    moduleOf(TYPE, FUNCTION, code(0, 0x27, 0x0b)),
    "byte 0x17: not supported: function 0: instruction 0x27",
  ],
  [
    "an unknown instruction behind a prefix",
    moduleOf(TYPE, FUNCTION, code(0, 0xfb, 0, 0x0b)),
    "not supported: function 0: instruction 0xfb",
  ],
  ["no end", moduleOf(TYPE, FUNCTION, code(0, 0x02, 0x40, 0x0b)), "function 0 ends too early"],
  ["code behind the end", moduleOf(TYPE, FUNCTION, code(0, 0x0b, 0x0b)), "has code behind its end"],
  ["a call of nobody", moduleOf(TYPE, FUNCTION, code(0, 0x10, 7, 0x0b)), "there is no function 7"],
];

for (const [what, bytes, text] of DAMAGED) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => readModule(bytes),
      (error: unknown) => {
        assert.ok(error instanceof ModuleError);
        assert.match(error.message, /^byte 0x[0-9a-f]+: /);
        assert.ok(error.message.includes(text), error.message);
        const unsupported = text.includes("not supported");
        if (unsupported) assert.equal(error.code, "ERR_MODULE_UNSUPPORTED");
        return true;
      },
    );
  });
}

test("what is not an array of bytes is a TypeError", () => {
  assert.throws(() => readModule("\0asm" as unknown as Uint8Array), {
    name: "TypeError",
    message: "bytes must be a Uint8Array",
  });
});

/**
 * Whether a file is read. The reader may accept more than the engine; other errors fail the test.
 */
function reads(bytes: Uint8Array): boolean {
  try {
    readModule(bytes);
    return true;
  } catch (error) {
    assert.ok(error instanceof ModuleError, String(error));
    assert.ok(error.offset >= 0 && error.offset <= bytes.length, error.message);
    return false;
  }
}

for (const name of ["modern.wasm", "exceptions.wasm", "threads.wasm", "inline-dwarf5.wasm"]) {
  test(`every prefix of ${name} is refused, or is a module`, () => {
    const bytes = fixture(name);
    for (let length = 0; length < bytes.length; length++) {
      const prefix = bytes.slice(0, length);
      assert.equal(reads(prefix), WebAssembly.validate(prefix), `${length} bytes`);
    }
  });
}

test("prefixes of a large module are refused", () => {
  const bytes = other("bench/rivals/dlmalloc.wasm");
  for (let length = 0; length < bytes.length; length += 7) {
    const prefix = bytes.slice(0, length);
    assert.equal(reads(prefix), WebAssembly.validate(prefix), `${length} bytes`);
  }
});

for (const path of ["modern.wasm", "threads.wasm", "boxes.wasm"]) {
  test(`flipped bytes in ${path}: the reader accepts every module that the engine accepts`, () => {
    const random = new Random(seedOf(11));
    const bytes = fixture(path);
    for (let round = 0; round < 1500; round++) {
      const damaged = bytes.slice();
      for (let i = random.between(1, 3); i > 0; i--) {
        damaged[random.below(damaged.length)] = random.below(256);
      }
      const isRead = reads(damaged);
      if (!isRead && WebAssembly.validate(damaged)) {
        assert.fail(`round ${round}, seed ${random.seed}: refused a valid module`);
      }
    }
  });
}

test("modules of all toolchains are read", () => {
  for (const path of others) assert.ok(reads(other(path)), path);
});
