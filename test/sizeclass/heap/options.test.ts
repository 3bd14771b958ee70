/** Options: every refusal with its numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HeapError } from "#src/heap/index.js";
import { arrayBuffer, sharedArrayBuffer, wasmMemory } from "#src/memory/index.js";
import {
  createSizeClassHeap,
  createSizeClassMap,
  type SizeClassError,
  type SizeClassOptions,
  sparseSpace,
} from "#src/sizeclass/index.js";

function refused(options: object, message: RegExp, kind: ErrorConstructor = RangeError): void {
  assert.throws(
    () => createSizeClassHeap(options as SizeClassOptions),
    (error: Error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.match(error.message, message);
      return true;
    },
  );
}

test("wrong kinds", () => {
  refused({ sice: 1 }, /unknown option sice; known: backend, memory/, TypeError);
  refused({ spaceSize: "1" }, /spaceSize must be a number, not string/, TypeError);
  refused({ shuffle: 1 }, /shuffle must be a boolean, not number/, TypeError);
  refused({ onMap: 1 }, /onMap must be a function, not number/, TypeError);
  refused({ memory: 1 }, /memory must be a memory, not number/, TypeError);
  refused({ space: 1 }, /space must be an address space, not number/, TypeError);
  refused({ spaceBegin: 1 }, /spaceBegin is for a space/, TypeError);
  const demand = { regions: "onDemand" };
  refused({ ...demand, spaceSize: 2 ** 22 }, /spaceSize is for reserved regions/, TypeError);
  refused({ ...demand, granule: 4096 }, /granule is for reserved regions/, TypeError);
  refused({ ...demand, freeArray: 4 }, /freeArray is for reserved regions/, TypeError);
  refused({ ...demand, space: sparseSpace() }, /on demand are for linear memory/, TypeError);
  const reserved = { regions: "reserved", regionSize: 2 ** 17 };
  refused(reserved, /regionSize is for regions on demand/, TypeError);
  refused({ memory: wasmMemory(), maximum: 2 ** 24 }, /maximum is for a new memory/, TypeError);
  const space = sparseSpace();
  refused({ space, backend: "js" }, /space takes the place of memory, maximum and/, TypeError);
  refused({ space, shared: true }, /a space is for one thread: shared needs/, TypeError);
});

test("values out of range", () => {
  refused(
    { spaceSize: 3e6 },
    /spaceSize must be a power of two from 1048576 to 8796093022208, not/,
  );
  refused({ granule: 100 }, /granule must be a power of two from 4096 to 1048576, not 100/);
  refused({ pageSize: 512 }, /pageSize must be a power of two from 4096 to 65536, not 512/);
  refused({ regions: "many" }, /regions must be "reserved" or "onDemand", not many/);
  refused({ regionSize: 5 }, /regionSize must be a power of two from 65536 to 16777216, not 5/);
  refused({ freeArray: 3 }, /freeArray must be a power of two from 2 to 32, not 3/);
  refused({ metadataSize: 8 }, /metadataSize must be a multiple of 16, not 8/);
  refused({ metadataSize: 2000 }, /metadataSize must be a whole number from 0 to 1024, not 2000/);
  refused({ seed: -1 }, /seed must be a whole number from 0 to 4294967295, not -1/);
  refused({ threads: 65 }, /threads must be a whole number from 1 to 64, not 65/);
  refused({ backend: "c" }, /backend must be "wasm" or "js", not c/);
  refused(
    { map: "some" },
    /unknown size-class map some; known: default, compact, veryCompact, dense/,
  );
});

test("a region that cannot hold what it must is refused with the numbers", () => {
  refused(
    { map: "default", regions: "reserved" },
    /^regions of 1048576 bytes may have 57344 chunks of 16 bytes, whose free array needs 236544 bytes, not 131072: take larger chunks or a larger share, freeArray 4$/,
  );
  refused(
    { spaceSize: 2 ** 20 },
    /^regions of 32768 bytes have free arrays of 4096 bytes, less than a granule$/,
  );
  refused(
    { spaceSize: 2 ** 20, granule: 4096 },
    /^regions of 32768 bytes have 28672 for chunks, not the 65536 of one$/,
  );
  refused(
    { regionSize: 2 ** 16, metadataSize: 16 },
    /^regions of 65536 bytes do not hold the 65552 of one chunk$/,
  );
  refused({ granule: 4096, pageSize: 65536 }, /granule 4096 must be a multiple of the page, 65536/);
  refused(
    { space: sparseSpace(), spaceSize: 2 ** 43 },
    /^regions of 137438953472 bytes: compact pointers reach 68719476736 bytes$/,
  );
  createSizeClassHeap({ space: sparseSpace(), spaceSize: 2 ** 42 }).malloc(1);
});

test("a memory that is too small, or of another kind", () => {
  refused(
    {
      memory: arrayBuffer({ buffer: new ArrayBuffer(2 ** 20) }),
      backend: "js",
      regions: "reserved",
    },
    /^ArrayBuffer of 1048576 bytes has no space for 67108864 bytes of space and \d+ of control from 0 on$/,
  );
  refused(
    { maximum: 2 ** 22, regions: "reserved" },
    /WebAssembly.Memory of 131072 bytes has no space for 67108864/,
  );
  refused(
    { maximum: 2 ** 17, shared: true },
    /^WebAssembly.Memory of 131072 bytes has no space for \d+ of control from 65536 on$/,
  );
  refused({ memory: wasmMemory(), shared: true }, /WebAssembly.Memory is not shared/);
  refused(
    { memory: sharedArrayBuffer(), backend: "js" },
    /SharedArrayBuffer is shared: set the option shared/,
  );
  refused(
    { memory: arrayBuffer({ initial: 2 ** 27 }) },
    /the wasm back end needs a WebAssembly.Memory, not ArrayBuffer/,
  );
  refused(
    { space: sparseSpace({ limit: 1000 }) },
    /sparse has no space for the allocator at 17592186044416/,
  );
});

test("wrong maps", () => {
  const good = { bits: 3, minLog: 4, midLog: 8, maxLog: 17, cachedHint: 128, bytesCachedLog: 16 };
  const map = (more: object) => () => createSizeClassMap({ ...good, ...more });
  assert.throws(map({ bits: 0 }), /bits must be a whole number from 1 to 6, not 0/);
  assert.throws(map({ minLog: 3 }), /minLog must be a whole number from 4 to 16, not 3/);
  assert.throws(map({ midLog: 5 }), /midLog must be a whole number from 6 to 24, not 5/);
  assert.throws(map({ maxLog: 8 }), /maxLog must be a whole number from 9 to 28, not 8/);
  assert.throws(map({ cachedHint: 129 }), /cachedHint must be a whole number from 1 to 128/);
  assert.throws(map({ bytesCachedLog: 1 }), /bytesCachedLog must be a whole number from 4 to 30/);
  assert.throws(map({ bits: 6, midLog: 16, maxLog: 28 }), /\d+ classes, not 16 to 256/);
  assert.throws(map({ bits: 1, midLog: 4, maxLog: 10 }), /8 classes, not 16 to 256/);
});

test("custom maps are valid, and the core's classes are the same for all sizes", () => {
  for (const [bits, minLog, midLog, maxLog] of [
    [1, 4, 8, 14],
    [2, 5, 9, 16],
    [3, 4, 8, 17],
    [4, 4, 9, 16],
    [5, 4, 10, 15],
  ] as const) {
    const options = { bits, minLog, midLog, maxLog, cachedHint: 20, bytesCachedLog: 12 };
    const map = createSizeClassMap(options);
    map.validate();
    const heap = createSizeClassHeap({ map: options, spaceSize: 2 ** 28, freeArray: 2 });
    for (let size = 1; size <= 2 ** maxLog; size += 7) {
      assert.equal(heap.goodSize(size), map.size(map.id(size)));
    }
    assert.equal(heap.usableSize(heap.malloc(700)), map.size(map.id(700)));
  }
});

test("mistakes of callers throw and change nothing", () => {
  const heap = createSizeClassHeap();
  const reserved = createSizeClassHeap({ regions: "reserved" });
  const p = heap.malloc(100);
  const large = heap.malloc(100_000);
  const codes = (call: () => void) => {
    try {
      call();
    } catch (error) {
      assert.ok(error instanceof HeapError);
      return error.code;
    }
    return undefined;
  };
  assert.equal(
    codes(() => heap.free(p + 16)),
    "ERR_INTERIOR_POINTER",
  );
  assert.equal(
    codes(() => heap.free(p + 8)),
    "ERR_INTERIOR_POINTER",
  );
  assert.equal(
    codes(() => heap.free(large + 4096)),
    "ERR_INTERIOR_POINTER",
  );
  assert.equal(
    codes(() => heap.free(16)),
    "ERR_NOT_A_BLOCK",
  );
  assert.equal(
    codes(() => reserved.free(reserved.primary.regionBegin(30))),
    "ERR_NOT_A_BLOCK",
  );
  assert.equal(
    codes(() => heap.free(heap.primary.spaceBegin + 2 ** 29)),
    "ERR_NOT_A_BLOCK",
  );
  assert.equal(
    codes(() => heap.realloc(p + 1, 5)),
    "ERR_INTERIOR_POINTER",
  );
  assert.equal(
    codes(() => heap.usableSize(large + 16)),
    "ERR_INTERIOR_POINTER",
  );
  assert.throws(() => heap.free(-1), /pointer must be a whole number from 0 to 4294967295, not -1/);
  assert.throws(
    () => heap.primary.getFrom(0, 1),
    /class must be a whole number from 1 to 30, not 0/,
  );
  const wide = createSizeClassHeap({ space: sparseSpace() });
  assert.throws(() => wide.free(0.5), /pointer must be a whole number from 0 to 2\^53, not 0.5/);
  assert.throws(() => wide.free("1" as never), /pointer must be a number/);
  assert.ok(heap.primary.isValid());
  heap.destroy();
  assert.throws(() => heap.malloc(1), /the heap has been destroyed/);
});

test("more chunks than a region has cannot be returned", () => {
  const heap = createSizeClassHeap({ spaceSize: 2 ** 22, granule: 4096, releaseInterval: -1 });
  const chunks = heap.primary.getFrom(1, 100);
  assert.throws(
    () => {
      for (let i = 0; i < 100; i++) heap.primary.returnTo(1, chunks);
    },
    (error: SizeClassError) =>
      error.code === "ERR_FREE_ARRAY_FULL" &&
      error.message === "more chunks of 32 bytes were freed than their region has",
  );
  assert.throws(() => heap.primary.returnTo(1, [chunks[0]! + 16]), /points into a block/);
  assert.throws(() => heap.primary.returnTo(2, chunks), /is not a block of this heap/);
});
