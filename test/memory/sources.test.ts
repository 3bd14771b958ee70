/** Every source against its contract, and how sources grow. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  arrayBuffer,
  failingMemory,
  growExactly,
  type MemorySource,
  sharedArrayBuffer,
  wasmMemory,
} from "#src/memory/index.js";

const SLICE = 65536;

const growing: [string, () => MemorySource][] = [
  ["wasmMemory", () => wasmMemory({ maximum: 64 * SLICE })],
  [
    "wasmMemory of a caller",
    () => wasmMemory({ memory: new WebAssembly.Memory({ initial: 2, maximum: 64 }) }),
  ],
  ["arrayBuffer", () => arrayBuffer({ maximum: 64 * SLICE })],
  ["growable sharedArrayBuffer", () => sharedArrayBuffer({ growable: true, maximum: 64 * SLICE })],
];

for (const [name, create] of growing) {
  test(`${name}: a growth by n slices gives at least n or fails, and ends`, () => {
    const source = create();
    if (!source.capabilities.canGrow) return assert.fail(`${name} cannot grow here`);
    new Uint8Array(source.buffer)[source.start === 0 ? 0 : 5] = 77;
    let total = source.buffer.byteLength / SLICE;
    for (let n = 1; ; n++) {
      const answer = source.grow(n);
      if (answer === 0) break;
      assert.equal(answer & 0xffff, total);
      assert.ok(answer >>> 16 >= n);
      total += answer >>> 16;
      assert.equal(source.buffer.byteLength, total * SLICE);
    }
    assert.ok(total <= 64);
    const before = source.buffer.byteLength;
    assert.equal(source.grow(65), 0);
    assert.equal(source.buffer.byteLength, before);
    while (source.grow(1) !== 0);
    assert.equal(source.buffer.byteLength, 64 * SLICE);
    assert.equal(new Uint8Array(source.buffer)[source.start === 0 ? 0 : 5], 77);
    assert.ok(new Uint8Array(source.buffer, 2 * SLICE).every((byte) => byte === 0));
  });
}

test("a growth detaches old views if the capability says so, and only then", () => {
  for (const [name, create] of growing) {
    const source = create();
    const view = new Uint8Array(source.buffer);
    source.grow(1);
    assert.equal(view.length === 0, source.capabilities.detaches, name);
  }
});

test("fixed buffers refuse to grow", () => {
  for (const source of [
    arrayBuffer({ buffer: new ArrayBuffer(4 * SLICE) }),
    sharedArrayBuffer({ maximum: 4 * SLICE }),
    sharedArrayBuffer({ buffer: new SharedArrayBuffer(SLICE) }),
  ]) {
    assert.equal(source.capabilities.canGrow, false);
    assert.equal(source.grow(1), 0);
  }
});

test("start, and what is known to be zero from there", () => {
  const memory = new WebAssembly.Memory({ initial: 4 });
  const facts = (source: MemorySource) => [source.start / SLICE, source.capabilities.zeroed];
  assert.deepEqual(facts(wasmMemory()), [1, true]);
  assert.deepEqual(facts(wasmMemory({ memory })), [4, true]);
  assert.deepEqual(facts(wasmMemory({ memory, offset: 70000 })), [2, false]);
  assert.deepEqual(facts(wasmMemory({ memory, offset: 70000, zeroed: true })), [2, true]);
  assert.deepEqual(facts(wasmMemory({ memory, offset: 5 * SLICE })), [5, true]);
  assert.deepEqual(facts(arrayBuffer()), [1, true]);
  assert.deepEqual(facts(arrayBuffer({ buffer: new ArrayBuffer(SLICE) })), [0, false]);
  assert.deepEqual(facts(sharedArrayBuffer()), [1, true]);
  assert.deepEqual(facts(sharedArrayBuffer({ buffer: new SharedArrayBuffer(SLICE) })), [0, false]);
});

test("a policy that wants too much falls back to what is needed", () => {
  const source = wasmMemory({ maximum: 10 * SLICE, growth: () => 1000 });
  assert.equal(source.grow(3) >>> 16, 8);
  const engine = wasmMemory({
    memory: new WebAssembly.Memory({ initial: 1, maximum: 6 }),
    growth: () => 1000,
  });
  assert.equal(engine.grow(3) >>> 16, 3);
  const exact = wasmMemory({ growth: growExactly });
  assert.equal(exact.grow(5) >>> 16, 5);
});

test("failingMemory refuses from the n-th growth on", () => {
  const source = failingMemory(wasmMemory(), 3);
  assert.deepEqual(
    [1, 1, 1, 1].map((n) => source.grow(n) !== 0),
    [true, true, false, false],
  );
  assert.equal(source.growths, 4);
  source.refuseFrom = Number.POSITIVE_INFINITY;
  assert.notEqual(source.grow(1), 0);
  assert.throws(() => failingMemory(wasmMemory(), 0), /refuseFrom must be at least 1, not 0/);
});

test("numbers of bytes out of range throw", () => {
  for (const make of [wasmMemory, arrayBuffer, sharedArrayBuffer]) {
    for (const name of ["offset", "initial", "maximum"]) {
      assert.throws(() => make({ [name]: -1 }), {
        name: "RangeError",
        message: `${name} must be a whole number from 0 to 4294967296, not -1`,
      });
      assert.throws(() => make({ [name]: "1" }), {
        name: "TypeError",
        message: `${name} must be a number of bytes, not string`,
      });
    }
  }
  assert.throws(() => wasmMemory({ maximum: SLICE }), {
    message: `maximum must be at least ${2 * SLICE} bytes, not ${SLICE}`,
  });
});
