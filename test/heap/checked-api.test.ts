/** The checked API: arguments, errors, views, strings, statistics, the walk. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createAbi,
  createHeap,
  type Heap,
  HeapError,
  type TypedArray,
  type TypedArrayConstructor,
} from "#src/heap/index.js";
import { sharedJavascript } from "#src/heap/javascript.js";
import { arrayBuffer, failingMemory, wasmMemory } from "#src/memory/index.js";
import { anyHeap } from "../support/any-heap.js";
import { errorText, thrownText } from "../support/thrown.js";

const backends = ["wasm", "js"] as const;

const sizeRule = "must be a whole number from 0 to 2147483647";
const pointerRule = "pointer must be a whole number from 0 to 4294967295";

/** Every call that takes a pointer to a block. */
function pointerCalls(heap: Heap, ptr: number): Record<string, () => unknown> {
  return {
    free: () => heap.free(ptr),
    realloc: () => heap.realloc(ptr, 10),
    reallocn: () => heap.reallocn(ptr, 1, 10),
    reallocf: () => heap.reallocf(ptr, 10),
    rezalloc: () => heap.rezalloc(ptr, 10),
    recalloc: () => heap.recalloc(ptr, 1, 10),
    expand: () => heap.expand(ptr, 10),
    reallocAligned: () => heap.reallocAligned(ptr, 10, 16),
    usableSize: () => heap.usableSize(ptr),
  };
}

for (const backend of backends) {
  test(`${backend}: wrong sizes are refused by every call`, () => {
    const heap = anyHeap({ backend });
    const calls: [string, (size: number) => unknown][] = [
      ["size", (size) => heap.malloc(size)],
      ["size", (size) => heap.zalloc(size)],
      ["count", (size) => heap.calloc(size, 1)],
      ["size", (size) => heap.calloc(1, size)],
      ["count", (size) => heap.mallocn(size, 1)],
      ["size", (size) => heap.realloc(0, size)],
      ["count", (size) => heap.reallocn(0, size, 1)],
      ["size", (size) => heap.reallocf(0, size)],
      ["size", (size) => heap.rezalloc(0, size)],
      ["count", (size) => heap.recalloc(0, size, 1)],
      ["size", (size) => heap.expand(0, size)],
      ["size", (size) => heap.memalign(16, size)],
      ["size", (size) => heap.alignedAlloc(16, size)],
      ["offset", (size) => heap.memalignAt(16, 1, size)],
      ["size", (size) => heap.reallocAligned(0, size, 16)],
      ["size", (size) => heap.goodSize(size)],
      ["length", (size) => heap.allocArray(Uint8Array, size)],
      ["length", (size) => heap.view(Uint8Array, 0, size)],
      ["length", (size) => heap.readString(0, size)],
    ];
    for (const [what, call] of calls) {
      for (const bad of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, 2 ** 53]) {
        assert.equal(
          thrownText(() => call(bad)),
          `RangeError: ${what} ${sizeRule}, not ${bad}`,
        );
      }
      for (const bad of ["8", null, undefined, {}, 8n]) {
        if (bad === undefined && what === "length") continue;
        const kind = bad === null ? "null" : typeof bad;
        assert.equal(
          thrownText(() => call(bad as unknown as number)),
          `TypeError: ${what} must be a number, not ${kind}`,
        );
      }
    }
    assert.equal(heap.stats().blocks, 0);
  });

  test(`${backend}: wrong alignments are refused`, () => {
    const heap = anyHeap({ backend });
    for (const bad of [0, 3, 24, -16, 2.5, Number.NaN, 2 ** 31]) {
      const message = `alignment must be a power of two up to 1073741824, not ${bad}`;
      assert.equal(
        thrownText(() => heap.memalign(bad, 1)),
        `RangeError: ${message}`,
      );
      assert.equal(
        thrownText(() => heap.memalignAt(bad, 1, 0)),
        `RangeError: ${message}`,
      );
      assert.equal(
        thrownText(() => heap.reallocAligned(0, 1, bad)),
        `RangeError: ${message}`,
      );
    }
    assert.equal(
      thrownText(() => heap.memalign("16" as unknown as number, 1)),
      "TypeError: alignment must be a number, not string",
    );
  });

  test(`${backend}: foreign, interior and malformed pointers change nothing`, () => {
    const heap = anyHeap({ backend });
    const small = heap.malloc(100);
    const medium = heap.malloc(40000);
    const large = heap.malloc(300000);
    heap.u8.fill(0x5a, large, large + 300000);
    const before = Buffer.from(heap.u8);
    const refuse = (ptr: number, message: string, code?: string) => {
      for (const [name, call] of Object.entries(pointerCalls(heap, ptr))) {
        let error: unknown;
        try {
          call();
        } catch (caught) {
          error = caught;
        }
        assert.equal(errorText(error), message.replace("CALL", name));
        if (code)
          assert.deepEqual([(error as HeapError).code, (error as HeapError).ptr], [code, ptr]);
      }
    };
    for (const ptr of [8, 65536, heap.buffer.byteLength, 0xfffffff0]) {
      const hex = `0x${ptr.toString(16)}`;
      refuse(ptr, `HeapError: CALL: ${hex} is not a block of this heap`, "ERR_NOT_A_BLOCK");
    }
    for (const ptr of [small + 1, small + 16, medium + 30000, large + 16, large + 200000]) {
      const message = `0x${ptr.toString(16)} points into a block, not at its beginning`;
      refuse(ptr, `HeapError: CALL: ${message}`, "ERR_INTERIOR_POINTER");
    }
    for (const ptr of [-1, 1.5, Number.NaN, 2 ** 32]) {
      refuse(ptr, `RangeError: ${pointerRule}, not ${ptr}`);
    }
    refuse("1" as unknown as number, "TypeError: pointer must be a number, not string");
    assert.equal(Buffer.compare(before, Buffer.from(heap.u8)), 0);
    for (const ptr of [small, medium, large, 0]) heap.free(ptr);
    assert.equal(heap.stats().blocks, 0);
  });

  test(`${backend}: the C ABI returns 0 where the checked API throws`, () => {
    const heap = anyHeap({ backend });
    const abi = createAbi(heap);
    const scratch = heap.malloc(16);
    heap.u32[scratch / 4] = 77;
    assert.equal(abi.malloc(-1), 0);
    assert.equal(abi.malloc(2 ** 31), 0);
    assert.equal(abi.calloc(65536, 65536), 0);
    assert.equal(abi.calloc(2 ** 31, 2), 0);
    assert.equal(abi.reallocarray(0, 65536, 65536), 0);
    assert.equal(abi.memalign(24, 8), 0);
    assert.equal(abi.aligned_alloc(0, 8), 0);
    // WASI's numbers, which the programs that import it have.
    assert.equal(abi.posix_memalign(scratch, 24, 8), 28);
    assert.equal(abi.posix_memalign(scratch, 64, 2 ** 31), 48);
    assert.equal(abi.posix_memalign(0, 64, 8), 28);
    assert.equal(heap.u32[scratch / 4], 77);
    assert.equal(abi.posix_memalign(scratch, 64, 8), 0);
    assert.equal((heap.u32[scratch / 4] as number) % 64, 0);
    assert.equal(abi.realloc(12345, 8), 0);
    assert.equal(abi.malloc_usable_size(12345), 0);
    abi.free(0);
    abi.free(12345);
    abi.free(0xfffffff0);
    const p = abi.strdup(heap.allocString("abc", { terminate: true }).ptr) >>> 0;
    assert.equal(heap.readString(p), "abc");
    assert.equal(abi.malloc_usable_size(p), 8);
  });

  test(`${backend}: row 36: new family`, () => {
    const codes: number[] = [];
    const heap = anyHeap({ backend, maximum: 2 ** 21, onError: (code) => codes.push(code) });
    assert.equal(heap.newNothrow(2 ** 31), 0);
    assert.deepEqual(codes, [75, 75, 12, 12]);
    assert.equal(
      thrownText(() => heap.new(2 ** 31)),
      "HeapError: new: no memory for 2147483648 bytes",
    );
    const hoard = heap.new(2 ** 20);
    assert.equal(heap.newNothrow(2 ** 20), 0);
    let asked = 0;
    heap.setNewHandler(() => {
      asked += 1;
      heap.free(hoard);
      heap.setNewHandler(undefined);
    });
    assert.notEqual(heap.new(2 ** 20), 0);
    assert.equal(asked, 1);
    assert.equal(
      thrownText(() => heap.newNothrow(-1)),
      `RangeError: size ${sizeRule}, not -1`,
    );
  });

  test(`${backend}: onError hears what failed, and the heap goes on`, () => {
    const heard: [number, number][] = [];
    const heap = anyHeap({
      backend,
      maximum: 2 ** 20,
      onError: (code, size) => heard.push([code, size]),
    });
    assert.equal(heap.malloc(2 ** 20), 0);
    assert.deepEqual(heard, [[12, 2 ** 20]]);
    assert.notEqual(heap.malloc(1000), 0);
  });

  test(`${backend}: views stay right when the memory grows`, () => {
    const heap = anyHeap({ backend });
    const kinds: TypedArrayConstructor<TypedArray>[] = [
      Int8Array,
      Uint8Array,
      Uint8ClampedArray,
      Int16Array,
      Uint16Array,
      Int32Array,
      Uint32Array,
      Float32Array,
      Float64Array,
      BigInt64Array,
      BigUint64Array,
    ] as unknown as TypedArrayConstructor<TypedArray>[];
    const views = kinds.map((kind) => heap.allocArray(kind, 5));
    views.forEach((view, i) => {
      const big = view.array instanceof BigInt64Array || view.array instanceof BigUint64Array;
      for (let k = 0; k < 5; k++) view.array[k] = (big ? BigInt(i + k) : i + k) as never;
    });
    const old = heap.u8;
    for (let i = 0; i < 40; i++) heap.malloc(200000);
    assert.notEqual(heap.u8.length, old.length);
    views.forEach((view, i) => {
      assert.deepEqual(
        [...view].map(Number),
        [0, 1, 2, 3, 4].map((k) => i + k),
      );
      assert.equal(Number(view.at(-1)), i + 4);
      assert.equal(view.array.buffer, heap.buffer);
      assert.equal(view.byteLength, 5 * view.array.BYTES_PER_ELEMENT);
    });
    for (const view of views) view.free();
    assert.equal(heap.stats().blocks, 40);
  });

  test(`${backend}: the whole-memory views follow growth, also somebody else's`, () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const heap = anyHeap({ backend, memory });
    const names = ["i8", "u8", "u8c", "i16", "u16", "i32", "u32", "f32", "f64", "i64", "u64"];
    const lengths = () => names.map((name) => (heap[name as "u8"] as Uint8Array).byteLength);
    const whole = () => names.map(() => memory.buffer.byteLength);
    assert.deepEqual(lengths(), whole());
    heap.malloc(10 ** 6);
    assert.deepEqual(lengths(), whole());
    memory.grow(3);
    assert.deepEqual(lengths(), whole());
    const block = heap.malloc(100);
    memory.grow(1);
    assert.equal(heap.usableSize(block), 112);
    memory.grow(1);
    const { malloc, free } = createAbi(heap);
    const raw = malloc(100) >>> 0;
    memory.grow(1);
    free(raw);
    memory.grow(1);
    heap.free(block);
    assert.equal(heap.stats().blocks, 1);
  });

  test(`${backend}: a view outside the memory or off its alignment is refused`, () => {
    const heap = anyHeap({ backend });
    const p = heap.malloc(64);
    const end = heap.buffer.byteLength;
    assert.equal(
      thrownText(() => heap.view(Float64Array, p + 4, 1)),
      `RangeError: Float64Array needs a pointer that is a multiple of 8, not 0x${(p + 4).toString(16)}`,
    );
    assert.equal(
      thrownText(() => heap.view(Uint32Array, end - 4, 2)),
      `RangeError: view of 8 bytes at 0x${(end - 4).toString(16)} ends behind the memory's ${end}`,
    );
  });

  test(`${backend}: strings in and out, with and without NUL`, () => {
    const heap = anyHeap({ backend });
    for (const sample of ["", "plain", "żółć 漢字 🦊", "a\0b"]) {
      const view = heap.allocString(sample);
      assert.equal(heap.readString(view.ptr, view.length), sample);
      const terminated = heap.allocString(sample, { terminate: true });
      assert.equal(heap.u8[terminated.ptr + terminated.length], 0);
      assert.equal(heap.readString(terminated.ptr), sample.split("\0")[0]);
      view.free();
      terminated.free();
    }
    assert.equal(
      thrownText(() => heap.allocString(7 as unknown as string)),
      "TypeError: text must be a string, not number",
    );
  });

  test(`${backend}: out of memory in allocArray and allocString throws`, () => {
    const heap = anyHeap({ backend, maximum: 2 ** 18 });
    const code = (call: () => unknown) => {
      try {
        call();
      } catch (error) {
        return [(error as HeapError).code, (error as Error).message];
      }
      return [];
    };
    assert.deepEqual(
      code(() => heap.allocArray(Float64Array, 10 ** 6)),
      ["ERR_OUT_OF_MEMORY", "allocArray: no memory for 8000000 bytes"],
    );
    assert.deepEqual(
      code(() => heap.allocString("x".repeat(300000))),
      ["ERR_OUT_OF_MEMORY", "allocString: no memory for 300000 bytes"],
    );
  });

  test(`${backend}: stats count blocks and bytes, visitBlocks shows them in order`, () => {
    const heap = anyHeap({ backend });
    const sizes = [10, 48, 48, 1000, 40000, 40000, 500000];
    const live = sizes.map((size) => heap.malloc(size));
    heap.free(live.splice(2, 1)[0] as number);
    const seen: [number, number][] = [];
    assert.equal(
      heap.visitBlocks((ptr, size) => {
        seen.push([ptr, size]);
      }),
      true,
    );
    assert.deepEqual(
      seen,
      live.map((ptr) => [ptr, heap.usableSize(ptr)]).sort((a, b) => Number(a[0]) - Number(b[0])),
    );
    const stats = heap.stats();
    assert.equal(stats.blocks, 6);
    assert.equal(
      stats.blockBytes,
      seen.reduce((sum, [, size]) => sum + size, 0),
    );
    let calls = 0;
    assert.equal(
      heap.visitBlocks(() => ++calls < 3),
      false,
    );
    assert.equal(calls, 3);
    heap.visitBlocks((ptr) => heap.free(ptr));
    heap.collect();
    assert.deepEqual([heap.stats().blocks, heap.stats().pageBytes], [0, 0]);
    assert.ok(heap.stats().pageBytesPeak >= 500000);
  });

  test(`${backend}: a destroyed heap says so at every call`, () => {
    let heap: Heap;
    {
      using scoped = anyHeap({ backend });
      heap = scoped;
      heap.malloc(10);
    }
    const calls = [
      ...["malloc", "zalloc", "goodSize", "collect", "free", "usableSize", "contains", "stats"],
      ...["expand", "realloc", "memalign", "newNothrow", "visitBlocks"],
    ] as "memalign"[];
    for (const call of calls) {
      assert.equal(
        thrownText(() => heap[call](1, 1)),
        "HeapError: the heap has been destroyed",
        call,
      );
    }
  });

  test(`${backend}: at most 256 KiB of memory are there after the first malloc(16)`, () => {
    const heap = anyHeap({ backend });
    heap.malloc(16);
    assert.ok(heap.buffer.byteLength <= 256 * 1024, `${heap.buffer.byteLength}`);
  });
}

test("options: unknown names, wrong kinds and wrong values are refused", () => {
  const known =
    "memory, offset, initial, maximum, release, purgeDelay, purgeExtendDelay, " +
    "arenaPurgeMult, purgeDecommits, purgeZeroes, onError, backend, hardening";
  const imported = (given: string) =>
    `TypeError: backend must be a value that is imported, not ${given}: ` +
    'import { javascript } from "terrane/javascript" and give { backend: javascript }';
  const cases: [object, string][] = [
    [{ size: 1 }, `TypeError: unknown option size; known: ${known}`],
    [{ backend: "js" }, imported('"js"')],
    [{ backend: "native" }, imported('"native"')],
    [{ backend: 1 }, imported("number")],
    [{ backend: null }, imported("null")],
    [{ backend: sharedJavascript }, imported("one for threads")],
    [{ backend: "wasm" }, 'TypeError: backend "wasm" is the default: leave the option out'],
    [
      { shared: true },
      "TypeError: createHeap makes heaps for one thread, without the option shared: " +
        'import { createSharedHeap } from "terrane/shared"',
    ],
    [{ memory: null }, "TypeError: memory must be a memory, not null"],
    [{ memory: new ArrayBuffer(8) }, "TypeError: memory must be a memory, not object"],
    [{ offset: "1" }, "TypeError: offset must be a number of bytes, not string"],
    [{ initial: -1 }, "RangeError: initial must be a whole number from 0 to 4294967296, not -1"],
    [{ maximum: 0.5 }, "RangeError: maximum must be a whole number from 0 to 4294967296, not 0.5"],
    [{ onError: 1 }, "TypeError: onError must be a function, not number"],
    [
      { memory: new WebAssembly.Memory({ initial: 1 }), initial: 1 },
      "TypeError: initial is for a new memory",
    ],
    [
      { memory: wasmMemory(), offset: 1 },
      "TypeError: offset and maximum belong to the source that is given as memory",
    ],
    [
      { memory: arrayBuffer() },
      "RangeError: the wasm back end needs a WebAssembly.Memory, not ArrayBuffer",
    ],
    [
      { memory: new WebAssembly.Memory({ initial: 1, maximum: 9, shared: true }) },
      "RangeError: a shared memory needs a heap for threads: " +
        'import { createSharedHeap } from "terrane/shared"',
    ],
    [
      { memory: failingMemory(wasmMemory({ memory: new WebAssembly.Memory({ initial: 1 }) }), 1) },
      "RangeError: failing WebAssembly.Memory of 65536 bytes has no space for a heap at 65536",
    ],
  ];
  for (const [options, message] of cases)
    assert.equal(
      thrownText(() => createHeap(options)),
      message,
    );
  assert.equal(
    thrownText(() => createHeap(null as unknown as object)),
    "TypeError: options must be an object, not null",
  );
  assert.ok(createHeap({ backend: undefined, maximum: undefined }));
});

for (const backend of ["wasm", "js"] as const) {
  test(`${backend}: a heap goes on when other code grows the source that was made for it`, () => {
    const heap = anyHeap({ backend });
    const theirs = heap.source.grow(4);
    assert.notEqual(theirs, 0);
    const at = (theirs & 0xffff) * 65536;
    for (let i = 0; i < 100; i++) {
      const ptr = heap.malloc(30_000);
      assert.ok(ptr > 0 && (ptr + 30_000 <= at || ptr >= at + 4 * 65536), `${ptr}`);
    }
  });
}

test("two heaps share a memory: each owns what it grows", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const a = createHeap({ memory });
  const b = createHeap({ memory });
  const blocks: [Heap, number, number][] = [];
  for (let i = 0; i < 400; i++) {
    const heap = i % 2 ? a : b;
    const ptr = heap.malloc(1000 + i * 100);
    heap.u8.fill(i & 255, ptr, ptr + 1000 + i * 100);
    blocks.push([heap, ptr, i]);
  }
  for (const [heap, ptr, i] of blocks) {
    const bytes = heap.u8.subarray(ptr, ptr + 1000 + i * 100);
    assert.ok(bytes.every((byte) => byte === (i & 255)));
    assert.throws(() => (heap === a ? b : a).free(ptr), HeapError);
    heap.free(ptr);
  }
  assert.equal(a.stats().blocks + b.stats().blocks, 0);
});
