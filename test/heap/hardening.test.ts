/** Hardening through the checked API: options, reports in words, exceptions, threads. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type HardeningOptions,
  hardening,
  hardeningFeatures,
  sharedHardenedJavascript,
  sharedHardening,
} from "#src/heap/hardening.js";
import { createAbi, createHeap, type Heap, HeapError, type HeapOptions } from "#src/heap/index.js";
import { javascript, sharedJavascript } from "#src/heap/javascript.js";
import { attachHeap, createSharedHeap, type SharedHeap } from "#src/heap/shared.js";
import { type MemorySource, type PageOperations, wasmMemory } from "#src/memory/index.js";
import { type AnyHeapOptions, anyHeap, attachAny } from "../support/any-heap.js";
import { backEnds } from "../support/core.js";

type Told = [code: number, ptr: number, text: string | undefined];

interface Watched {
  heap: Heap;
  told: Told[];
}

function watched(options: AnyHeapOptions): Watched {
  const told: Told[] = [];
  const onError = (code: number, ptr: number, text?: string) => told.push([code, ptr, text]);
  return { heap: anyHeap({ ...options, onError }), told };
}

const hex = (ptr: number) => `0x${ptr.toString(16)}`;

for (const backend of backEnds) {
  for (const shared of [false, true]) {
    const name = `${backend}${shared ? ", shared" : ""}`;
    const base = { backend, shared, hardened: {} } as const;

    test(`${name}: rows 44 and 47: the handler gets code, pointer and sentence`, () => {
      const { heap, told } = watched(base);
      const p = heap.malloc(13);
      heap.u8[p + 13] = 0;
      heap.free(p);
      const at = hex(p);
      const overflow = `buffer overflow in heap block ${at} of size 13: write after 13 bytes`;
      assert.deepEqual(told.splice(0), [[14, p, overflow]]);
      heap.free(p);
      const twice = `double free detected of block ${at} with size 24`;
      assert.deepEqual(told.splice(0), [[11, p, twice]]);
      const medium = heap.malloc(20000);
      heap.free(medium);
      heap.free(medium);
      const unknown = `double free detected of block ${hex(medium)}`;
      assert.deepEqual(told, [[11, medium, unknown]]);
      assert.equal(heap.stats().blocks, 0);
    });

    test(`${name}: rows 50 and 51: C's free reports what is not a block, the checked API throws`, () => {
      const { heap, told } = watched(base);
      const p = heap.malloc(100);
      createAbi(heap).free(p + 8);
      createAbi(heap).free(p + 1);
      createAbi(heap).free(64);
      createAbi(heap).malloc_usable_size(128);
      createAbi(heap).realloc(72, 10);
      const nowhere = "pointer does not point to a valid heap space";
      assert.deepEqual(told, [
        [22, p + 8, `free: pointer points into a block: ${hex(p + 8)}`],
        [22, p + 1, `free: invalid (unaligned) pointer: ${hex(p + 1)}`],
        [22, 64, `free: ${nowhere}: 0x40`],
        [22, 128, `usable_size: ${nowhere}: 0x80`],
        [22, 72, `realloc: ${nowhere}: 0x48`],
      ]);
      assert.throws(() => heap.free(p + 8), { name: "HeapError", code: "ERR_INTERIOR_POINTER" });
      assert.throws(() => heap.free(64), { name: "HeapError", code: "ERR_NOT_A_BLOCK" });
      assert.equal(told.length, 5, "who throws tells nobody else");
      heap.free(p);
    });

    test(`${name}: row 49: a damaged list`, () => {
      const { heap, told } = watched({ ...base, hardened: { features: ["encode"] } });
      const blocks = Array.from({ length: 64 }, () => heap.malloc(64));
      for (const p of blocks) heap.free(p);
      for (const p of blocks.slice(8, 40)) heap.u32[p >>> 2] = 0x12345678;
      for (let i = 0; i < 500; i++) assert.notEqual(heap.malloc(64), 0);
      assert.equal(told.length, 1);
      const [code, ptr, text] = told[0] as Told;
      assert.equal(code, 14);
      const value = /value (0x[0-9a-f]+)$/.exec(text ?? "")?.[1];
      const wanted = `corrupted free list entry of size 64b at ${hex(ptr)}: value ${value}`;
      assert.equal(text, wanted);
    });

    test(`${name}: without a handler a mistake throws, and nothing has changed`, () => {
      const heap = anyHeap(base);
      const p = heap.malloc(13);
      heap.u8[p + 13] = 0;
      const overflow = { name: "HeapError", code: "ERR_HEAP_OVERFLOW", ptr: p };
      assert.throws(() => heap.free(p), overflow);
      assert.throws(() => createAbi(heap).free(p), overflow, "through wasm too");
      assert.equal(heap.stats().blocks, 1);
      heap.u8[p + 13] = 0xde;
      heap.free(p);
      assert.throws(() => heap.free(p), { code: "ERR_DOUBLE_FREE", ptr: p });
      assert.throws(() => createAbi(heap).free(64), { code: "ERR_NOT_A_BLOCK", ptr: 64 });
      heap.registerError(() => {});
      heap.free(p);
      heap.registerError(undefined);
      assert.throws(() => heap.free(p), HeapError);
      assert.equal(heap.stats().blocks, 0);
      for (let i = 0; i < 5000; i++) heap.free(heap.malloc(i));
    });

    test(`${name}: row 74: a walk over padded blocks`, () => {
      const { heap, told } = watched(base);
      const blocks = Array.from({ length: 10 }, () => heap.malloc(48));
      for (const p of blocks.splice(3, 2)) heap.free(p);
      const seen: number[] = [];
      const areas: number[][] = [];
      heap.visitBlocks(
        (ptr, size) => {
          assert.equal(size, 56);
          seen.push(ptr);
        },
        {
          areas: ({ blockSize, fullBlockSize, used }) => {
            areas.push([blockSize, fullBlockSize, used]);
          },
        },
      );
      assert.deepEqual(
        seen,
        blocks.sort((a, b) => a - b),
      );
      assert.deepEqual(areas, [[56, 64, 8]]);
      assert.deepEqual(told, []);
    });

    test(`${name}: a walk ends where a list was written into`, () => {
      const { heap } = watched({
        ...base,
        hardened: { features: ["encode", "shuffle"] },
      });
      const p = heap.malloc(48);
      for (let i = 0; i < 4096; i += 4) heap.u32[(p & ~4095 & 0xfffffffc) / 4 + i / 4] = i * 77777;
      let seen = 0;
      heap.visitBlocks(() => void seen++);
      assert.ok(seen > 0);
    });

    test(`${name}: heaps beside a hardened heap are hardened`, () => {
      const { heap, told } = watched(base);
      const beside = heap.newHeap();
      const p = beside.malloc(13);
      assert.equal(beside.usableSize(p), 13);
      heap.free(p);
      heap.free(p);
      assert.deepEqual(
        told.map(([code, ptr]) => [code, ptr]),
        [[11, p]],
      );
      const q = beside.malloc(100);
      beside.visitBlocks((ptr, size) => assert.deepEqual([ptr, size], [q, 104]));
      beside.destroy();
      assert.equal(heap.stats().blocks, 0);
    });
  }

  test(`${backend}: features stand in the heap, and its seed makes its orders`, () => {
    const order = (options: HardeningOptions) => {
      const heap = anyHeap({ backend, hardened: options });
      return Array.from({ length: 64 }, () => heap.malloc(64));
    };
    const features = ["shuffle"] as const;
    assert.deepEqual(order({ features, seed: 3 }), order({ features, seed: 3 }));
    assert.notDeepEqual(order({ features, seed: 3 }), order({ features, seed: 4 }));
    assert.notDeepEqual(order({ features }), order({ features }));
    const state = (options: HardeningOptions = {}) =>
      anyHeap({ backend, hardened: options }).hardening;
    assert.deepEqual(state({ features: ["fill", "encode"] }), {
      features: ["encode", "fill"],
      weak: false,
    });
    assert.deepEqual(state()?.features, hardeningFeatures);
    assert.equal(hardeningFeatures.length, 8);
    assert.deepEqual(state({ features: [] })?.features, []);
    assert.equal(anyHeap({ backend, hardened: undefined }).hardening, undefined);
    assert.equal(anyHeap({ backend }).hardening, undefined);
  });

  test(`${backend}: statistics do not touch the random words`, () => {
    const run = (statsLevel: 0 | 2) => {
      const { heap, told } = watched({ backend, hardened: { seed: 11 }, statsLevel });
      const blocks = Array.from({ length: 4000 }, (_, i) => heap.malloc(i % 900));
      for (const p of blocks) heap.free(p);
      assert.deepEqual(told, []);
      return blocks;
    };
    assert.deepEqual(run(2), run(0));
  });

  test(`${backend}: row 106: without randomness the heap says that it is weak`, (t) => {
    const from = globalThis.crypto;
    t.after(() => Object.defineProperty(globalThis, "crypto", { value: from, configurable: true }));
    Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
    const heap = anyHeap({ backend, hardened: {} });
    assert.equal(heap.hardening?.weak, true);
    const seeded = anyHeap({ backend, hardened: { seed: 1 } });
    assert.equal(seeded.hardening?.weak, false);
    heap.free(heap.malloc(100));
    Object.defineProperty(globalThis, "crypto", { value: from, configurable: true });
    for (let i = 0; i < 3000; i++) heap.malloc(i % 700);
    assert.equal(heap.hardening?.weak, false, "a new key came with the next words");
  });

  test(`${backend}: a thread that attaches is hardened as the memory is`, () => {
    const { heap, told } = watched({ backend, shared: true, hardened: { seed: 9 } });
    const handle = structuredClone((heap as SharedHeap).handle());
    const there: Told[] = [];
    const other = attachAny(handle, {
      onError: (...what) => void there.push(what as Told),
    });
    assert.deepEqual(other.hardening, heap.hardening);
    const p = heap.malloc(13);
    heap.u8[p + 13] = 1;
    other.free(p);
    assert.deepEqual(
      there.map(([code, ptr]) => [code, ptr]),
      [[14, p]],
    );
    heap.free(p);
    other.free(p);
    assert.deepEqual([told[0]?.[0], there[1]?.[0]], [11, 11], "reported to the thread that did it");
    const orders = [heap, other].map((each) =>
      Array.from({ length: 64 }, () => each.malloc(64) % 65536),
    );
    assert.notDeepEqual(orders[0], orders[1], "each thread has words of its own");
    other.detach();
    assert.throws(() => other.hardening, { code: "ERR_HEAP_DETACHED" });
  });
}

/** A memory whose pages can be protected, as far as can be seen from here. */
function guardedSource(): { source: MemorySource; guards: Map<number, number> } {
  const guards = new Map<number, number>();
  const inner = wasmMemory();
  const never = () => false;
  const pages: PageOperations = {
    pageBytes: 8192,
    needsCommit: false,
    commit: () => true,
    decommit: never,
    reset: never,
    protect: (address, bytes) => !!guards.set(address, bytes),
    unprotect: (address) => guards.delete(address),
  };
  const source: MemorySource = {
    kind: "a guarded memory",
    capabilities: { ...inner.capabilities, canProtect: true },
    start: inner.start,
    memory: inner.memory as WebAssembly.Memory,
    pages,
    get buffer() {
      return inner.buffer;
    },
    grow: (slices) => inner.grow(slices),
  };
  return { source, guards };
}

for (const backend of backEnds) {
  test(`${backend}: guard pages stand behind large blocks and go with them`, () => {
    const { source, guards } = guardedSource();
    const heap = anyHeap({
      backend,
      memory: source,
      hardened: { features: ["guardPages"] },
    });
    const p = heap.malloc(100000);
    const size = heap.usableSize(p);
    assert.ok(size >= 100000 && size < 100000 + 8192 && (p + size) % 8192 === 0);
    assert.deepEqual([...guards], [[p + size, 131072 - size]]);
    heap.u8.fill(1, p, p + size);
    const q = heap.realloc(p, 200000);
    assert.equal(guards.size, 1);
    heap.free(q);
    assert.equal(guards.size, 0);
    heap.malloc(70000);
    heap.malloc(80000);
    assert.equal(guards.size, 2);
    heap.destroy();
    assert.equal(guards.size, 0, "the memory is its owner's again");
  });

  test(`${backend}: a source that cannot protect has no guards`, () => {
    const heap = anyHeap({ backend, hardened: { features: ["guardPages"] } });
    assert.equal(heap.usableSize(heap.malloc(100000)), 131072);
  });
}

test("options that are wrong", () => {
  const refused = (options: object, error: object) =>
    assert.throws(() => hardening(options as HardeningOptions), error);
  refused({ features: 1 }, { name: "TypeError", message: "features must be a list, not number" });
  refused({ features: "all" }, { name: "TypeError", message: /must be a list, not string/ });
  refused({ features: null }, { name: "TypeError", message: /must be a list, not null/ });
  const known = `known: ${hardeningFeatures.join(", ")}`;
  refused(
    { features: ["encode", "locks"] },
    { name: "RangeError", message: `unknown hardening feature locks; ${known}` },
  );
  refused({ features: [undefined] }, { name: "RangeError", message: /feature undefined; known/ });
  refused({ seed: "1" }, { name: "TypeError", message: "seed must be a number, not string" });
  refused({ seed: -1 }, { name: "RangeError", message: /from 0 to 4294967295, not -1/ });
  refused(
    { seeds: 1 },
    { name: "TypeError", message: "unknown option seeds; known: features, seed" },
  );
});

test("what is not a hardening is refused by a line that says what to import", () => {
  const cases: [value: unknown, given: string][] = [
    [true, "boolean"],
    ["all", '"all"'],
    [["padding"], "object"],
    [1, "number"],
    [null, "null"],
    [hardening, "function"],
    [sharedHardening(), "one for threads"],
  ];
  for (const [value, given] of cases) {
    assert.throws(() => createHeap({ hardening: value } as HeapOptions), {
      name: "TypeError",
      message:
        `hardening must be a value that is imported, not ${given}: ` +
        'import { hardening } from "terrane/hardening" and give { hardening: hardening() }',
    });
  }
  assert.throws(() => createSharedHeap({ hardening: hardening() as never }), {
    name: "TypeError",
    message:
      "hardening must be a value that is imported, not one for a single thread: " +
      'import { sharedHardening } from "terrane/hardening" and give ' +
      "{ hardening: sharedHardening() }",
  });
});

test("hardening is for the back end that it brings", () => {
  const both = () => createHeap({ backend: javascript, hardening: hardening() });
  assert.throws(both, {
    name: "TypeError",
    message:
      "hardening is for the WebAssembly back end: give { backend: hardenedJavascript() } " +
      'from "terrane/hardening" alone',
  });
  assert.equal(createHeap({ hardening: false }).hardening, undefined);
});

test("a thread that attaches brings the build where the handle has none, and no settings", () => {
  const js = createSharedHeap({ backend: sharedHardenedJavascript() }).handle();
  for (const options of [{}, { backend: sharedJavascript }]) {
    assert.throws(() => attachHeap(js, options), {
      name: "TypeError",
      message:
        "the heap runs on the hardened JavaScript back end: import { sharedHardenedJavascript } " +
        'from "terrane/hardening" and attach with { backend: sharedHardenedJavascript() }',
    });
  }
  for (const more of [{ seed: 1 }, { features: [] }]) {
    assert.throws(() => attachHeap(js, { backend: sharedHardenedJavascript(more) }), {
      name: "TypeError",
      message: "features and seed are settled by the thread that made the heap",
    });
  }
  const wasm = attachHeap(createSharedHeap({ hardening: sharedHardening() }).handle());
  const third = attachHeap(wasm.handle());
  assert.deepEqual(third.hardening?.features, hardeningFeatures, "the core came with the handle");
  const plain = createSharedHeap({ backend: sharedJavascript }).handle();
  assert.throws(() => attachHeap(plain, { backend: sharedHardenedJavascript() }), {
    name: "TypeError",
    message:
      'the heap runs on the JavaScript back end: import { sharedJavascript } from "terrane/javascript" ' +
      "and attach with { backend: sharedJavascript }",
  });
});
