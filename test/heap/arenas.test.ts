/** The checked API of arenas and budgets, and mimalloc's C names for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createAbi, createHeap, type Heap, HeapError } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { arrayBuffer, growExactly, simulatedMemory, wasmMemory } from "#src/memory/index.js";
import { anyHeap } from "../support/any-heap.js";

const SLICE = 65536;

/** Heaps in the memory of a caller, from 20 slices on. */
const subjects: [string, () => Heap][] = [
  [
    "wasm",
    () => createHeap({ memory: new WebAssembly.Memory({ initial: 24 }), offset: 20 * SLICE }),
  ],
  [
    "js",
    () =>
      createHeap({
        backend: javascript,
        memory: arrayBuffer({ initial: 24 * SLICE, offset: 20 * SLICE }),
      }),
  ],
  ["wasm, shared", () => shared("wasm")],
  ["js, shared", () => shared("js")],
];

function shared(backend: "wasm" | "js"): Heap {
  const memory = new WebAssembly.Memory({ initial: 28, maximum: 4096, shared: true });
  const source = wasmMemory({ memory, offset: 20 * SLICE, growth: growExactly });
  return anyHeap({ backend, shared: true, memory: source });
}

function thrown(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return error instanceof HeapError ? `${error.code}: ${error.message}` : String(error);
  }
  return "nothing";
}

for (const [name, make] of subjects) {
  test(`${name}: row 76: reserved memory is rounded up; an unknown arena has no area`, () => {
    const heap = make();
    const arena = heap.reserveMemory(100 * 1024);
    assert.equal(arena, 1);
    const { address, bytes } = heap.arenaArea(arena) as { address: number; bytes: number };
    assert.deepEqual([address % SLICE, bytes], [0, 2 * SLICE]);
    assert.equal(heap.arenaArea(2), undefined);
    assert.equal(heap.arenaArea(0), undefined);
    assert.equal(heap.stats().freeBytes >= 2 * SLICE, true);
    const text = "ERR_OUT_OF_MEMORY: reserveMemory: no memory for 2147483647 bytes";
    assert.equal(
      thrown(() => {
        for (let i = 0; i < 3; i++) heap.reserveMemory(0x7fffffff);
      }),
      text,
    );
  });

  test(`${name}: row 77: below a slice is refused, 2.5 slices are two, below the heap's start`, () => {
    const heap = make();
    const at = heap.manageMemory(3 * SLICE + 100, 3.5 * SLICE, { exclusive: true });
    assert.deepEqual(heap.arenaArea(at), { address: 4 * SLICE, bytes: 2 * SLICE });
    const cases: [number, number, string][] = [
      [8 * SLICE, SLICE - 1, "524288 .. 589823 holds no whole 64 KiB"],
      [8 * SLICE + 1, 2 * SLICE - 2, "524289 .. 655359 holds no whole 64 KiB"],
      [0, SLICE, "0 .. 65536 holds no whole 64 KiB"],
      [4 * SLICE, SLICE, "262144 .. 327680 belongs to the heap in part"],
      [19 * SLICE, 2 * SLICE, "1245184 .. 1376256 belongs to the heap in part"],
      [23 * SLICE, SLICE, "1507328 .. 1572864 belongs to the heap in part"],
      [
        0xfff00000,
        SLICE,
        `4293918720 .. 4293984256 ends behind the memory's ${heap.buffer.byteLength}`,
      ],
    ];
    for (const [address, bytes, text] of cases) {
      assert.equal(
        thrown(() => heap.manageMemory(address, bytes)),
        `RangeError: manageMemory: ${text}`,
      );
    }
    assert.equal(heap.manageMemory(0, 2 * SLICE), 2, "address 0 is not a block");
    assert.deepEqual(heap.arenaArea(2), { address: SLICE, bytes: SLICE });
  });

  test(`${name}: a range is refused wherever it meets what the heap has`, () => {
    const heap = make();
    heap.malloc(100);
    heap.malloc(20000);
    const p = heap.malloc(5 * SLICE);
    const q = heap.malloc(9 * SLICE);
    heap.free(q);
    heap.newHeap().malloc(10);
    const end = heap.buffer.byteLength;
    for (let at = 20 * SLICE; at < end; at += SLICE) {
      assert.match(
        thrown(() => heap.manageMemory(at, SLICE)),
        /belongs to the heap/,
        `${at}`,
      );
    }
    assert.match(
      thrown(() => heap.manageMemory(p + SLICE, SLICE)),
      /belongs/,
    );
    assert.match(
      thrown(() => heap.manageMemory(q + 3 * SLICE, SLICE)),
      /belongs/,
      "inside a span",
    );
    for (let at = SLICE; at < 20 * SLICE; at += SLICE) {
      assert.equal(heap.manageMemory(at, SLICE), at / SLICE);
    }
  });

  test(`${name}: row 75: a heap in an exclusive arena, and what it may not have`, () => {
    const errors: number[] = [];
    const heap = make();
    heap.registerError((code) => errors.push(code));
    const arena = heap.manageMemory(4 * SLICE, 4 * SLICE, { exclusive: true, zeroed: false });
    const within = heap.newHeap({ arena });
    const blocks = [1, 2, 3].map(() => within.malloc(2 * SLICE));
    assert.deepEqual(blocks, [4 * SLICE, 6 * SLICE, 0]);
    assert.deepEqual(errors, [12]);
    assert.equal(within.contains(4 * SLICE + 5), true);
    heap.free(blocks[0] as number);
    assert.equal(within.zalloc(100) > 0, true);
    assert.equal(heap.arenasPicture(), "arena 1: 4 slices at 0x40000, 3 in use\nx.xx\n");
    within.destroy();
    assert.equal(heap.arenasPicture(), "arena 1: 4 slices at 0x40000, 0 in use\n....\n");
    assert.equal(
      thrown(() => heap.newHeap({ arena: 2 })),
      "RangeError: newHeap: there is no arena 2",
    );
  });

  test(`${name}: the picture has a line for each 32 slices and no bits of others`, () => {
    const heap = make();
    assert.equal(heap.arenasPicture(), "");
    heap.reserveMemory(40 * SLICE, { exclusive: true });
    heap.manageMemory(2 * SLICE, SLICE, { exclusive: true });
    heap.newHeap({ arena: 1 }).malloc(33 * SLICE);
    const at = heap.arenaArea(1)?.address.toString(16);
    const lines = [`arena 1: 40 slices at 0x${at}, 33 in use`, "x".repeat(32), "x......."];
    lines.push("arena 2: 1 slices at 0x20000, 0 in use", ".", "");
    assert.equal(heap.arenasPicture(), lines.join("\n"));
  });

  test(`${name}: a budget is exact and out of memory is clear`, () => {
    const errors: [number, number][] = [];
    const heap = make();
    heap.registerError((code, size) => errors.push([code, size]));
    const scratch = heap.newHeap({ maximum: 10 * SLICE + 100 });
    const blocks: number[] = [];
    for (let p = scratch.malloc(3000); p !== 0; p = scratch.malloc(3000)) blocks.push(p);
    assert.equal(scratch.heldBytes, 10 * SLICE);
    assert.deepEqual(errors, [[12, 3000]]);
    assert.equal(
      thrown(() => scratch.new(3000)),
      "ERR_OUT_OF_MEMORY: new: no memory for 3000 bytes",
    );
    for (const p of blocks) heap.free(p);
    scratch.collect();
    assert.equal(scratch.heldBytes, 0);
    assert.notEqual(scratch.malloc(10 * SLICE), 0);
    assert.equal(scratch.malloc(1), 0);
    scratch.destroy();
    assert.equal(
      thrown(() => scratch.heldBytes),
      "ERR_HEAP_DESTROYED: the heap has been destroyed",
    );
  });

  test(`${name}: mimalloc's C names`, () => {
    const heap = make();
    const abi = createAbi(heap);
    const call = (fn: string, ...args: number[]) => {
      return Number((abi[fn] as (...args: number[]) => unknown)(...args)) >>> 0;
    };
    const out = heap.malloc(16);
    assert.equal(call("mi_reserve_os_memory_ex", 3 * SLICE, 1, 0, 1, out), 0);
    assert.equal(heap.u32[out >>> 2], 1);
    const area = call("mi_arena_area", 1, out + 4);
    assert.deepEqual([area, heap.u32[(out + 4) >>> 2]], [heap.arenaArea(1)?.address, 3 * SLICE]);
    assert.deepEqual([call("mi_arena_area", 9, out + 4), heap.u32[(out + 4) >>> 2]], [0, 0]);
    const manage = [4 * SLICE, 2 * SLICE, 1, 0, 0, -1, 1, out];
    assert.equal(call("mi_manage_os_memory_ex", ...manage), 1);
    assert.equal(heap.u32[out >>> 2], 2);
    assert.equal(call("mi_manage_os_memory_ex", ...manage), 0, "overlaps");
    assert.equal(heap.u32[out >>> 2], 0xffffffff);
    assert.equal(call("mi_manage_os_memory", 8 * SLICE, SLICE - 1, 1, 0, 0, -1), 0);
    assert.equal(call("mi_manage_os_memory", 8 * SLICE, SLICE, 1, 0, 0, -1), 1);
    assert.equal(call("mi_reserve_os_memory", SLICE, 0, 0), 0);
    for (let i = 0; i < 2; i++) call("mi_reserve_os_memory", 0x7fff0000, 0, 0);
    assert.equal(call("mi_reserve_os_memory", 0x7fff0000, 0, 0), 48);
    const inArena = call("mi_heap_new_in_arena", 2);
    assert.equal(call("mi_heap_malloc", inArena, 2 * SLICE), 4 * SLICE);
    assert.equal(call("mi_heap_malloc", inArena, 10), 0);
    assert.equal(call("mi_heap_new_in_arena", 77), 0);
    assert.equal(call("mi_reserve_huge_os_pages_at", 1, -1, 0), 48, "there are none");
    assert.equal(call("mi_reserve_huge_os_pages_at", 0, -1, 0), 0);
  });
}

test("wrong arguments are refused", () => {
  const heap = createHeap();
  const cases: [() => unknown, string][] = [
    [() => heap.reserveMemory("1" as never), "TypeError: bytes must be a number, not string"],
    [
      () => heap.reserveMemory(-1),
      "RangeError: bytes must be a whole number from 0 to 2147483647, not -1",
    ],
    [
      () => heap.reserveMemory(1, { exclusive: 1 as never }),
      "TypeError: exclusive must be a boolean, not number",
    ],
    [() => heap.reserveMemory(1, null as never), "TypeError: options must be an object, not null"],
    [
      () => heap.reserveMemory(1, { numaNode: -1 }),
      "RangeError: numaNode must be a whole number from 0 to 2147483647, not -1",
    ],
    [
      () => heap.manageMemory(-1, 1),
      "RangeError: address must be a whole number from 0 to 4294967296, not -1",
    ],
    [
      () => heap.manageMemory(0, null as never),
      "TypeError: bytes must be a number of bytes, not null",
    ],
    [
      () => heap.newHeap({ maximum: 65535 }),
      "RangeError: maximum must be at least 65536 bytes, not 65535",
    ],
    [
      () => heap.newHeap({ maximum: "1" as never }),
      "TypeError: maximum must be a number of bytes, not string",
    ],
    [() => heap.newHeap({ arena: "1" as never }), "TypeError: id must be a number, not string"],
    [() => heap.reserveHugePages(1), "RangeError: WebAssembly.Memory has no huge pages"],
  ];
  for (const [act, text] of cases) assert.equal(thrown(act), text);
  for (let i = 0; i < 112; i++) heap.reserveMemory(1);
  assert.equal(
    thrown(() => heap.reserveMemory(1)),
    "ERR_NO_ARENA: reserveMemory: there are 112 arenas already",
  );
  heap.destroy();
  assert.equal(
    thrown(() => heap.arenaArea(1)),
    "ERR_HEAP_DESTROYED: the heap has been destroyed",
  );
});

test("row 91: huge OS pages - simulated: contiguous, as many as there are, until the timeout", () => {
  const bytes = 4 * SLICE;
  const make = (count: number, milliseconds = 0) => {
    const memory = simulatedMemory({ hugePages: { bytes, count, milliseconds } });
    return createHeap({ backend: javascript, memory });
  };
  const heap = make(5);
  assert.deepEqual(heap.reserveHugePages(3), { arena: 1, pages: 3 });
  assert.equal(heap.arenaArea(1)?.bytes, 3 * bytes);
  assert.deepEqual(heap.reserveHugePages(4), { arena: 2, pages: 2 }, "two were left");
  assert.match(
    thrown(() => heap.reserveHugePages(1)),
    /ERR_OUT_OF_MEMORY/,
  );
  assert.deepEqual(make(100, 10).reserveHugePages(10, { timeout: 50 }), { arena: 1, pages: 10 });
  assert.deepEqual(make(100, 11).reserveHugePages(10, { timeout: 50 }), { arena: 1, pages: 1 });
  const p = heap.newHeap({ arena: 1 }).malloc(2 * bytes);
  heap.free(p);
  heap.collect(true);
  assert.equal(heap.stats().purges, 0, "huge pages are pinned");
  assert.throws(() => simulatedMemory({ hugePages: { bytes: 5, count: 1 } }), {
    message: "huge pages must be multiples of 65536 bytes, not 5",
  });
});

test("row 91: huge OS pages - interleaved over nodes, each an arena of its node", () => {
  const memory = simulatedMemory({
    hugePages: { bytes: SLICE, count: 7 },
    numa: { nodes: 3, node: 2 },
  });
  const heap = createHeap({ backend: javascript, memory });
  const call = createAbi(heap).mi_reserve_huge_os_pages_interleave as (...args: number[]) => number;
  assert.equal(call(7, 3, 0), 0);
  const pages = [1, 2, 3].map((id) => (heap.arenaArea(id)?.bytes ?? 0) / SLICE);
  assert.deepEqual(pages, [3, 2, 2]);
  const p = heap.malloc(2 * SLICE);
  const own = heap.arenaArea(3)?.address;
  assert.equal(p, own, "row 92: the thread's own node first");
  assert.equal(heap.malloc(2 * SLICE), heap.arenaArea(1)?.address);
  assert.equal(call(1, 1, 0), 48);
});

test("arenas where memory must be committed: the statistics are the pages'", () => {
  const memory = simulatedMemory({ needsCommit: true });
  const heap = createHeap({ backend: javascript, memory, purgeDelay: 0, arenaPurgeMult: 0 });
  const before = memory.committedBytes;
  heap.reserveMemory(8 * SLICE, { exclusive: true });
  heap.reserveMemory(8 * SLICE, { exclusive: true, commit: true });
  assert.equal(memory.committedBytes - before, 9 * SLICE, "one slice holds all arenas");
  const within = heap.newHeap({ arena: 1 });
  const p = within.malloc(5 * SLICE);
  heap.u8.fill(1, p, p + 5 * SLICE);
  assert.equal(heap.stats().committedBytes, memory.committedBytes);
  within.free(p);
  assert.equal(memory.committedBytes, heap.stats().committedBytes);
  assert.equal(heap.stats().purgedBytes, 5 * SLICE);
  assert.deepEqual(memory.check(), []);
});
