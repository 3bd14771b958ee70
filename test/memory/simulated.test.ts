/** The simulated memory against its contract, and heaps in it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap, type Heap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import {
  arrayBuffer,
  type SimulatedMemory,
  sharedArrayBuffer,
  simulatedMemory,
  wasmMemory,
} from "#src/memory/index.js";
import { type AnyHeapOptions, anyHeap } from "../support/any-heap.js";
import { Random, seedOf } from "../support/random.js";

const SLICE = 65536;
const PAGE = 4096;

function fresh(needsCommit: boolean, pageBytes = PAGE): SimulatedMemory {
  return simulatedMemory({ needsCommit, pageBytes, source: arrayBuffer({ initial: 4 * SLICE }) });
}

function bytes(memory: SimulatedMemory, at: number, count: number): Uint8Array {
  return new Uint8Array(memory.buffer, at, count);
}

test("row 88: commit widens to pages, decommit narrows: 100 bytes do nothing and succeed", () => {
  const memory = fresh(true);
  assert.equal(memory.committedBytes, 0);
  assert.equal(memory.pages.commit(SLICE + 100, 100), true);
  assert.equal(memory.committedBytes, PAGE);
  assert.equal(memory.pages.decommit(SLICE + 100, 100), true);
  assert.equal(memory.committedBytes, PAGE);
  assert.equal(memory.pages.commit(SLICE + PAGE - 1, 2), true);
  assert.equal(memory.committedBytes, 2 * PAGE);
  assert.equal(memory.pages.decommit(SLICE, 2 * PAGE - 1), true);
  assert.equal(memory.committedBytes, PAGE);
  assert.equal(memory.pages.commit(SLICE, 0), true);
  assert.equal(memory.pages.decommit(SLICE, 0), true);
  assert.deepEqual(
    { ...memory.calls },
    { commit: 3, decommit: 3, reset: 0, protect: 0, unprotect: 0 },
  );
});

test("what is committed again is zero, what was never committed is overwritten", () => {
  const memory = fresh(true);
  assert.ok(bytes(memory, SLICE, SLICE).every((byte) => byte === 0xdc));
  memory.pages.commit(SLICE, PAGE);
  bytes(memory, SLICE, PAGE).fill(7);
  memory.pages.commit(SLICE, PAGE);
  assert.ok(
    bytes(memory, SLICE, PAGE).every((byte) => byte === 7),
    "stays what it is",
  );
  memory.pages.decommit(SLICE, PAGE);
  assert.ok(bytes(memory, SLICE, PAGE).every((byte) => byte === 0xdc));
  memory.pages.commit(SLICE, PAGE);
  assert.ok(bytes(memory, SLICE, PAGE).every((byte) => byte === 0));
  assert.deepEqual(memory.check(), []);
});

test("a write to a page that is not committed is found once", () => {
  const memory = fresh(true);
  bytes(memory, SLICE + PAGE, 1)[0] = 1;
  const text = "the page at 0x11000 was written to while it was not committed";
  assert.deepEqual(memory.check(), [text]);
  assert.deepEqual(memory.check(), []);
  bytes(memory, SLICE + PAGE, 1)[0] = 1;
  memory.pages.commit(SLICE + PAGE, 1);
  assert.deepEqual(memory.check(), [text], "by the next operation on it");
});

test("without needsCommit a decommitted page is zero and counts again once it is written", () => {
  const memory = fresh(false);
  assert.equal(memory.committedBytes, 0, "nothing is touched yet");
  bytes(memory, SLICE, 2 * PAGE).fill(9);
  assert.equal(memory.committedBytes, 2 * PAGE);
  assert.equal(memory.pages.decommit(SLICE, PAGE), true);
  assert.equal(memory.committedBytes, PAGE);
  assert.equal(bytes(memory, SLICE, 1)[0], 0);
  bytes(memory, SLICE, 1)[0] = 1;
  assert.equal(memory.committedBytes, 2 * PAGE);
  bytes(memory, SLICE, 1)[0] = 0;
  assert.equal(memory.committedBytes, 2 * PAGE, "a zero that was written is in memory");
  assert.deepEqual(memory.check(), []);
});

test("reset overwrites usable pages and changes no count", () => {
  const memory = fresh(true);
  memory.pages.commit(SLICE, 2 * PAGE);
  assert.equal(memory.pages.reset(SLICE, 3 * PAGE), true);
  assert.ok(bytes(memory, SLICE, 2 * PAGE).every((byte) => byte === 0x5e));
  assert.ok(bytes(memory, SLICE + 2 * PAGE, PAGE).every((byte) => byte === 0xdc));
  assert.equal(memory.committedBytes, 2 * PAGE);
});

test("protected pages lose their bytes, and a write to them is found", () => {
  const memory = fresh(false);
  bytes(memory, SLICE, PAGE).fill(3);
  assert.equal(memory.pages.protect(SLICE, PAGE), true);
  assert.equal(memory.protectedBytes, PAGE);
  assert.notEqual(bytes(memory, SLICE, 1)[0], 3, "the bytes are lost");
  bytes(memory, SLICE, 1)[0] = 1;
  assert.equal(memory.pages.unprotect(SLICE, PAGE), true);
  assert.ok(bytes(memory, SLICE, PAGE).every((byte) => byte === 0));
  assert.deepEqual(memory.check(), ["the page at 0x10000 was written to while it was protected"]);
  assert.equal(memory.protectedBytes, 0);
});

test("the n-th call of an operation fails and changes nothing", () => {
  const memory = fresh(true);
  memory.failAt("commit", 2);
  const done = [1, 2, 3].map((n) => memory.pages.commit(SLICE + n * PAGE, PAGE));
  assert.deepEqual(done, [true, false, true]);
  assert.equal(memory.committedBytes, 2 * PAGE);
  for (const operation of ["decommit", "reset", "protect", "unprotect"] as const) {
    memory.failAt(operation, 1);
    assert.equal(memory.pages[operation](SLICE + PAGE, PAGE), false, operation);
    assert.equal(memory.pages[operation](SLICE + PAGE, PAGE), true, operation);
  }
});

test("pages of every size, and sizes that throw", () => {
  for (const pageBytes of [16, 256, 65536]) {
    const memory = fresh(true, pageBytes);
    memory.pages.commit(SLICE, 1);
    assert.equal(memory.committedBytes, pageBytes);
  }
  for (const pageBytes of [0, 8, 100, 131072]) {
    assert.throws(() => simulatedMemory({ pageBytes }), {
      name: "RangeError",
      message: `pageBytes must be a power of two from 16 to 65536, not ${pageBytes}`,
    });
  }
});

type Make = (needsCommit: boolean) => [SimulatedMemory, AnyHeapOptions];

const places: [string, Make][] = [
  ["js", (needsCommit) => place({ needsCommit }, { backend: "js" })],
  ["wasm", (needsCommit) => place({ needsCommit, source: wasmMemory() }, { backend: "wasm" })],
  [
    "wasm, shared",
    (needsCommit) => {
      const source = wasmMemory({ shared: true, maximum: 2 ** 28 });
      return place({ needsCommit, source }, { backend: "wasm", shared: true });
    },
  ],
  [
    "js, shared",
    (needsCommit) => {
      const source = sharedArrayBuffer({ maximum: 2 ** 25 });
      return place({ needsCommit, source }, { backend: "js", shared: true });
    },
  ],
];

function place(
  options: Parameters<typeof simulatedMemory>[0],
  heap: AnyHeapOptions,
): [SimulatedMemory, AnyHeapOptions] {
  const memory = simulatedMemory(options);
  return [memory, { ...heap, memory }];
}

/** One random step; every byte that it allocates is written. */
function cycle(heap: Heap, live: [number, number][], random: Random): void {
  const dice = random.below(100);
  if (dice < 3) heap.purge(random.chance(20));
  else if (dice < 4) heap.collect(random.chance(30));
  else if (live.length > 0 && random.chance(live.length < 40 ? 35 : 65)) {
    const [[p, seed]] = live.splice(random.below(live.length), 1) as [[number, number]];
    const size = heap.usableSize(p);
    assert.equal(heap.u8[p], seed);
    assert.equal(heap.u8[p + size - 1], seed);
    heap.free(p);
  } else {
    const size = random.skewed(1, 300000);
    const zero = random.chance(30);
    const p = zero ? heap.zalloc(size) : heap.malloc(size);
    if (p === 0) return;
    if (zero) assert.ok(heap.u8.subarray(p, p + size).every((byte) => byte === 0));
    const seed = 1 + random.below(255);
    heap.u8.fill(seed, p, p + heap.usableSize(p));
    live.push([p, seed]);
  }
}

for (const [name, make] of places) {
  test(`row 87: commit accounting - ${name}: 10 000 random cycles`, (t) => {
    const seed = seedOf(8700);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const random = new Random(seed);
    const [memory, options] = make(true);
    const heap = anyHeap({ ...options, purgeDelay: 3 });
    const live: [number, number][] = [];
    for (let i = 0; i < 10000; i++) {
      cycle(heap, live, random);
      if (i % 100 === 0) assert.equal(heap.stats().committedBytes, memory.committedBytes, `${i}`);
    }
    for (const [p] of live) heap.free(p);
    heap.collect(true);
    assert.equal(heap.stats().committedBytes, memory.committedBytes);
    assert.deepEqual(memory.check(), [], "no page was accessed that was not committed");
    const { purges, purgedBytes, commits, committedBytesPeak } = heap.stats();
    assert.equal(memory.calls.decommit, purges);
    assert.equal(memory.calls.commit - 1, commits, "and once the state");
    assert.ok(purges > 100 && purgedBytes > committedBytesPeak);
    t.diagnostic(`${purges} purges of ${purgedBytes} bytes, ${commits} commits`);
  });

  test(`row 87: commit accounting - ${name}, pages that need no commit`, (t) => {
    const seed = seedOf(8710);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const random = new Random(seed);
    const [memory, options] = make(false);
    const heap = anyHeap({ ...options, purgeDelay: 3 });
    const live: [number, number][] = [];
    for (let i = 0; i < 3000; i++) {
      cycle(heap, live, random);
      if (i % 300 !== 0) continue;
      assert.ok(memory.committedBytes <= heap.stats().committedBytes, `${i}`);
    }
    for (const [p] of live) heap.free(p);
    heap.collect(true);
    const { committedBytes, purges } = heap.stats();
    assert.ok(committedBytes <= 8 * SLICE, `${committedBytes} bytes are left`);
    assert.ok(memory.committedBytes <= committedBytes);
    assert.equal(memory.calls.commit, 0);
    assert.equal(memory.calls.decommit, purges);
  });

  test(`a commit that fails counts as out of memory, and the heap goes on: ${name}`, () => {
    for (let call = 2; call < 12; call++) {
      const [memory, options] = make(true);
      const errors: number[] = [];
      const heap = anyHeap({ ...options, onError: (code) => errors.push(code) });
      memory.failAt("commit", call - 1);
      const blocks = [100, 3000, 20000, 200000, 300000, 9000, 70000].map((n) => heap.malloc(n));
      const p = blocks.find((each) => each !== 0) ?? 0;
      heap.realloc(p, 400000);
      heap.malloc(2 ** 20);
      assert.deepEqual(memory.check(), [], `call ${call}`);
      assert.equal(heap.stats().committedBytes, memory.committedBytes, `call ${call}`);
      const q = heap.malloc(500000);
      assert.notEqual(q, 0);
      heap.u8.fill(1, q, q + 500000);
      assert.deepEqual(memory.check(), [], `call ${call}`);
      assert.ok(errors.every((code) => code === 12));
    }
  });

  test(`a range that was reset does not count as zero: ${name}`, () => {
    const [memory, options] = make(false);
    const heap = anyHeap({ ...options, purgeDecommits: false });
    const p = heap.malloc(500000);
    heap.u8.fill(1, p, p + 500000);
    heap.free(p);
    heap.purge(true);
    assert.ok(memory.calls.reset > 0);
    assert.equal(memory.calls.decommit, 0);
    const q = heap.zalloc(500000);
    assert.ok(heap.u8.subarray(q, q + 500000).every((byte) => byte === 0));
  });
}

test("a heap whose first commit fails is not created", () => {
  const memory = simulatedMemory({ needsCommit: true });
  memory.failAt("commit", 1);
  assert.throws(() => createHeap({ backend: javascript, memory }), {
    name: "RangeError",
    message: "simulated ArrayBuffer cannot commit the first 65536 bytes",
  });
});
