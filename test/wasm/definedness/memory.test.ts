/** The undefined bits of memory, and bytes that the host has written without changing them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DefinedMemory } from "#src/wasm/definedness/memory.js";
import { type Layout, NEVER_WRITTEN } from "#src/wasm/shadow/layout.js";

const layout = { definedStart: 65536, originStart: 131072 } as Layout;

function make() {
  const memory = new WebAssembly.Memory({ initial: 3 });
  const bytes = new Uint8Array(memory.buffer);
  return {
    defined: new DefinedMemory(memory, layout),
    bytes,
    words: new Uint32Array(memory.buffer),
  };
}

test("an undefined range is found by its first byte; written or defined bytes are not found", () => {
  const { defined, bytes } = make();
  assert.equal(defined.find(0, 1000), -1);
  defined.undefine(100, 50);
  assert.equal(defined.find(0, 1000), 100);
  defined.define(100, 20);
  assert.equal(defined.find(0, 1000), 120);
  bytes.fill(7, 120, 150);
  assert.equal(defined.find(0, 1000), -1);
});

test("bytes of the host become defined, also one with the value of unwritten memory", () => {
  const { defined, bytes } = make();
  defined.undefine(100, 200);
  bytes.set([1, 2, NEVER_WRITTEN, 4], 200);
  assert.equal(defined.settle(202, 1), 202);
  assert.equal(bytes[layout.definedStart + 202], 0);
  assert.equal(defined.settle(200, 8), 204);
  assert.equal(defined.find(104, 8), 104);
});

test("stored undefined bytes are not taken for the host's, and have an origin", () => {
  const { defined, bytes, words } = make();
  defined.undefine(100, 8);
  bytes.fill(3, 100, 108);
  words[(layout.originStart + 100) >>> 2] = 4711;
  words[(layout.originStart + 104) >>> 2] = 1;
  assert.equal(defined.settle(100, 4), 4711);
  assert.equal(defined.settle(104, 4), 104);
  assert.equal(defined.find(100, 8), 100);
});

test("undefined bits and origins move with a block", () => {
  const { defined, bytes, words } = make();
  defined.undefine(96, 16);
  defined.define(100, 4);
  words[(layout.originStart + 104) >>> 2] = 4711;
  bytes.copyWithin(512, 96, 112);
  defined.copy(96, 512, 16);
  assert.deepEqual(
    [512, 516, 520].map((at) => defined.find(at, 4)),
    [512, -1, 520],
  );
  assert.equal(defined.settle(520, 4), 4711);
});
