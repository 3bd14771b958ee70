/** Blocks beside guard pages: where they lie, which accesses trap, and what is reported. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { guarded } from "#src/debug/index.js";
import { createAbi, createHeap, setStatsLevel } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { createAllocator, pipe, segregated, std } from "#src/layers/index.js";
import { osMemory, withOsPages } from "#src/memory/index.js";
import { anyHeap } from "../../support/any-heap.js";
import { os, skip, skipTraps } from "../../support/os.js";
import { probe } from "../../support/probe.js";
import { Random, seedOf } from "../../support/random.js";
import { record, trap } from "./record.js";

for (const shared of [false, true]) {
  const kind = shared ? "shared memory" : "memory";
  test(`${kind}: an access past a block that ends at its guard traps`, {
    skip: skipTraps,
  }, (t) => {
    const heap = anyHeap({ shared, release: withOsPages } as { shared: true });
    if (!heap.source.capabilities.canProtect) return t.skip("guards by mprotect cannot be shared");
    const { guardedHeap, wasm } = record({ place: "end" }, heap);
    for (const size of [1, 16, 32, 100, 4000, os.pageBytes]) {
      const ptr = guardedHeap.malloc(size);
      const end = Math.ceil((ptr + size) / 16) * 16;
      assert.equal(end % os.pageBytes, 0);
      assert.equal(ptr % 16, 0);
      wasm.write(ptr, size);
      assert.throws(() => wasm.write(ptr, end - ptr + 1), trap, `${size} bytes`);
      assert.throws(() => wasm.load(end), trap);
      wasm.write(ptr, size);
      guardedHeap.free(ptr);
    }
    guardedHeap.destroy();
  });

  test(`${kind}: an access to a freed block traps, until its slot is used again`, {
    skip: skipTraps,
  }, (t) => {
    const heap = anyHeap({ shared, release: withOsPages } as { shared: true });
    if (!heap.source.capabilities.canProtect) return t.skip("guards by mprotect cannot be shared");
    const { guardedHeap, wasm } = record({ place: "end", slots: 4 }, heap);
    const first = guardedHeap.malloc(64);
    guardedHeap.free(first);
    for (let i = 0; i < 3; i++) {
      const next = guardedHeap.malloc(64);
      assert.notEqual(next, first);
      guardedHeap.free(next);
      assert.throws(() => wasm.load(first), trap);
      assert.throws(() => wasm.store(first + 32, 1), trap);
    }
    assert.equal(guardedHeap.malloc(64), first, "the slot that was freed first");
    assert.equal(wasm.load(first), 0);
    guardedHeap.destroy();
  });
}

test("an access before a block that begins at its guard traps", { skip: skipTraps }, () => {
  const { guardedHeap, wasm } = record({ place: "start" });
  const ptr = guardedHeap.malloc(100);
  assert.equal(ptr % os.pageBytes, 0);
  wasm.write(ptr, 100);
  assert.throws(() => wasm.load(ptr - 4), trap);
  assert.throws(() => wasm.store(ptr - 1, 0), trap);
});

test("both ends alternate", { skip }, () => {
  const { guardedHeap } = record();
  const starts = Array.from({ length: 6 }, () => guardedHeap.malloc(48) % os.pageBytes === 0);
  assert.deepEqual(starts, [false, true, false, true, false, true]);
});

test("exact: a block of any size ends at its guard", { skip: skipTraps }, () => {
  const { guardedHeap, wasm } = record({ place: "end", exact: true });
  for (const size of [1, 3, 5, 17, 4095]) {
    const ptr = guardedHeap.malloc(size);
    assert.equal((ptr + size) % os.pageBytes, 0);
    wasm.write(ptr, size);
    assert.throws(() => wasm.write(ptr, size + 1), trap);
  }
});

test("of a slot of many pages only those of the block are accessible", { skip: skipTraps }, () => {
  const { guardedHeap, wasm } = record({ slotBytes: 5 * os.pageBytes, slots: 3 });
  const { pageBytes } = os;
  const end = guardedHeap.malloc(pageBytes + 16);
  assert.equal((end + pageBytes + 16) % pageBytes, 0);
  wasm.write(end, pageBytes + 16);
  assert.throws(() => wasm.load(Math.floor(end / pageBytes) * pageBytes - 4), trap);
  const start = guardedHeap.malloc(pageBytes + 16);
  wasm.write(start, pageBytes + 16);
  assert.throws(() => wasm.load(start + 2 * pageBytes), trap);
  assert.notEqual(guardedHeap.malloc(5 * pageBytes), 0);
  assert.equal(guardedHeap.stats().guarded, 3);
});

test("blocks that find no slot, or are too large for one, are not guarded", { skip }, () => {
  const { heap, guardedHeap } = record({ slots: 2 });
  const before = heap.stats().blocks;
  const ptrs = [10, 20, 30, 2 * os.pageBytes].map((size) => guardedHeap.malloc(size));
  assert.deepEqual(
    ptrs.map((ptr) => guardedHeap.isGuarded(ptr)),
    [true, true, false, false],
  );
  assert.equal(heap.stats().blocks, before + 2);
  const { blocks, guarded: count, missed } = guardedHeap.stats();
  assert.deepEqual([blocks, count, missed], [2, 2, 2]);
  for (const ptr of ptrs) guardedHeap.free(ptr);
  assert.equal(heap.stats().blocks, before);
  assert.equal(guardedHeap.stats().blocks, 0);
});

test("one in so many is guarded, and a seed makes the same choice again", { skip }, () => {
  const choice = (seed: number) => {
    const { guardedHeap } = record({ every: 10, seed, slots: 1000, mostPerSecond: 0 });
    const ptrs = Array.from({ length: 5000 }, () => guardedHeap.malloc(24));
    const chosen = ptrs.flatMap((ptr, index) => (guardedHeap.isGuarded(ptr) ? [index] : []));
    for (const ptr of ptrs) guardedHeap.free(ptr);
    return chosen;
  };
  const first = choice(7);
  assert.ok(first.length > 400 && first.length < 600, `${first.length} of 5000`);
  assert.deepEqual(choice(7), first);
  assert.notDeepEqual(choice(8), first);
});

test("no more than so many in a second are guarded", { skip }, () => {
  const { guardedHeap } = record({ every: 2, slots: 1000, mostPerSecond: 1 });
  const from = performance.now();
  for (let i = 0; i < 2000; i++) guardedHeap.free(guardedHeap.malloc(24));
  const seconds = (performance.now() - from) / 1000;
  const { guarded: count, missed } = guardedHeap.stats();
  assert.ok(count >= 1 && count <= 1 + Math.ceil(seconds));
  assert.ok(missed > 5 && count + missed < 500, "those that come too soon become rarer");
});

test("free reports a second free, and pointers inside, before and past a block", { skip }, () => {
  const { guardedHeap, messages, reports } = record({ place: "end" });
  const [kept, freed] = [guardedHeap.malloc(64), guardedHeap.malloc(64)];
  const at = (ptr: number) => `0x${ptr.toString(16)}`;
  guardedHeap.free(freed);
  guardedHeap.free(freed);
  guardedHeap.free(kept + 8);
  assert.equal(guardedHeap.realloc(freed, 10), 0);
  guardedHeap.free(kept - 64);
  guardedHeap.free(kept + 64);
  assert.deepEqual(messages(), [
    `ERR_DOUBLE_FREE double free of the block of 64 bytes at ${at(freed)}`,
    `ERR_INTERIOR_POINTER free of ${at(kept + 8)}, 8 bytes into the block of 64 bytes at ${at(kept)}`,
    `ERR_REALLOC_AFTER_FREE realloc of the block of 64 bytes at ${at(freed)} after it was freed`,
    `ERR_NOT_A_BLOCK free of ${at(kept - 64)}, which is not a block; 64 bytes before the block of 64 bytes at ${at(kept)}`,
    `ERR_NOT_A_BLOCK free of ${at(kept + 64)}, which is not a block; 0 bytes past the end of the block of 64 bytes at ${at(kept)}`,
  ]);
  assert.deepEqual(
    reports[0]?.stacks.map(({ title }) => title),
    ["allocated", "freed first", "freed again"],
  );
  for (const { stacks } of reports) {
    for (const { frames } of stacks) assert.match(String(frames[0]?.url), /guarded\.test/);
  }
  guardedHeap.free(kept);
});

test("free and check find what is written beside a block where there is no guard", { skip }, () => {
  const { guardedHeap, heap, messages } = record({ place: "end" });
  const ptr = guardedHeap.malloc(20);
  heap.u8[ptr + 20] = 1;
  heap.u8[ptr - 3] = 1;
  guardedHeap.check();
  const other = guardedHeap.malloc(20);
  heap.u8[other + 21] = 1;
  heap.u8[other + 23] = 1;
  guardedHeap.free(other);
  const at = (where: number) => `the block of 20 bytes at 0x${where.toString(16)}`;
  assert.deepEqual(messages(), [
    `ERR_HEAP_UNDERFLOW write before the start of ${at(ptr)}: 2 bytes changed, the first at offset -3`,
    `ERR_HEAP_OVERFLOW write past the end of ${at(other)}: 2 bytes changed, the first at offset 21`,
  ]);
});

test("realloc moves a guarded block with its contents, calloc returns zeros", { skip }, (t) => {
  const seed = seedOf(7403);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const { guardedHeap, heap, reports } = record({
    every: 3,
    slots: 32,
    slotBytes: 9000,
    mostPerSecond: 0,
  });
  const live: { ptr: number; size: number; fill: number }[] = [];
  const whole = ({ ptr, size, fill }: (typeof live)[0]) =>
    heap.u8.subarray(ptr, ptr + size).every((byte) => byte === fill);
  for (let step = 0; step < 6000; step++) {
    const index = random.below(live.length);
    const block = live[index];
    const size = random.skewed(1, 12_000);
    const fill = step & 255;
    if (block && random.chance(40)) {
      assert.ok(whole(block));
      guardedHeap.free(block.ptr);
      live.splice(index, 1);
    } else if (block && random.chance(30)) {
      const ptr = guardedHeap.realloc(block.ptr, size);
      assert.ok(whole({ ...block, ptr, size: Math.min(size, block.size) }));
      heap.u8.fill(fill, ptr, ptr + size);
      live[index] = { ptr, size, fill };
    } else {
      const ptr = random.chance(50) ? guardedHeap.calloc(1, size) : guardedHeap.malloc(size);
      if (guardedHeap.isGuarded(ptr)) assert.equal(guardedHeap.usableSize(ptr), size);
      assert.ok(guardedHeap.usableSize(ptr) >= size);
      heap.u8.fill(fill, ptr, ptr + size);
      live.push({ ptr, size, fill });
    }
    if (step % 100 === 0) {
      const zero = guardedHeap.calloc(3, 100);
      assert.ok(heap.u8.subarray(zero, zero + 300).every((byte) => byte === 0));
      guardedHeap.free(zero);
    }
  }
  for (const { ptr } of live) guardedHeap.free(ptr);
  assert.ok(guardedHeap.stats().guarded > 500);
  assert.deepEqual([guardedHeap.stats().blocks, reports], [0, []]);
});

test("any alignment that fits a slot is kept", { skip }, () => {
  const { guardedHeap } = record({ slots: 128 });
  for (let alignment = 1; alignment <= 65536; alignment *= 2) {
    for (const size of [1, 20, 700]) {
      const ptr = guardedHeap.memalign(alignment, size);
      assert.equal(ptr % alignment, 0);
      guardedHeap.free(ptr);
    }
  }
});

test("without the handler a report names the blocks that were used last", {
  skip: skipTraps,
}, () => {
  const { guardedHeap, wasm } = record({ place: "end" });
  const [freed, live] = [guardedHeap.malloc(32), guardedHeap.malloc(48)];
  guardedHeap.free(freed);
  let error: unknown;
  try {
    wasm.load(freed);
  } catch (caught) {
    error = caught;
  }
  const report = guardedHeap.explain(error);
  assert.equal(report?.code, "ERR_OUT_OF_BOUNDS");
  assert.equal(
    report?.message,
    "access out of bounds, perhaps of one of 2 guarded blocks: its address is known with `faults: true`",
  );
  const titles = report?.stacks.map(({ title }) => title.replace(/0x[0-9a-f]+/, "P"));
  assert.deepEqual(titles, [
    "perhaps the block of 32 bytes at P, allocated",
    "freed",
    "perhaps the block of 48 bytes at P, allocated",
    "accessed",
  ]);
  assert.match(String(report?.stacks.at(-1)?.frames[0]?.url), /wasm/);
  assert.equal(guardedHeap.explain(new Error("memory access out of bounds")), undefined);
  assert.equal(guardedHeap.explain("text"), undefined);
  assert.throws(
    () => guardedHeap.run(() => wasm.load(freed)),
    trap,
    "run leaves errors that it cannot explain",
  );
  assert.equal(
    guardedHeap.run(() => wasm.load(live)),
    0,
  );
});

test("destroy gives all memory back, and makes it accessible", { skip }, () => {
  const { heap, guardedHeap, wasm } = record();
  const ptrs = [guardedHeap.malloc(10), guardedHeap.malloc(10)];
  guardedHeap.destroy();
  guardedHeap.destroy();
  assert.equal(heap.stats().blocks, 0);
  for (const ptr of ptrs) wasm.load(ptr);
  assert.equal(guardedHeap.isGuarded(guardedHeap.malloc(10)), false);
  const next = record({}, heap).guardedHeap;
  assert.ok(next.isGuarded(next.malloc(10)));
});

test("a heap that does not release, and a composition, can be guarded too", {
  skip: skipTraps,
}, () => {
  const plain = createHeap({ release: os.guardKind === "mprotect" && withOsPages });
  const pool = createAllocator(pipe(std(plain), segregated()));
  for (const guardedHeap of [
    guarded(plain, { every: 1 }),
    guarded(pool, { every: 1, source: plain.source }),
  ]) {
    const ptr = guardedHeap.malloc(16);
    assert.throws(() => probe(plain.memory as WebAssembly.Memory).load(ptr + os.pageBytes), trap);
    guardedHeap.free(ptr);
    guardedHeap.destroy();
  }
  const other = createHeap({ backend: javascript, memory: osMemory() });
  const guardedHeap = guarded(other, { every: 1 });
  other.u8[guardedHeap.malloc(16)] = 1;
  guardedHeap.destroy();
});

test("the heap's own functions serve guarded blocks, and all memory is given back", {
  skip,
}, () => {
  const { heap, guardedHeap, messages } = record({ place: "end" });
  const ptr = heap.malloc(64);
  assert.ok(guardedHeap.isGuarded(ptr));
  assert.equal(heap.usableSize(ptr), 64);
  assert.equal(heap.usableSize(ptr + 60), 4);
  assert.ok(heap.contains(ptr));
  heap.u8.fill(5, ptr, ptr + 64);
  const moved = heap.realloc(ptr, 200);
  assert.ok(guardedHeap.isGuarded(moved) && moved !== ptr);
  assert.ok(heap.u8.subarray(moved, moved + 64).every((byte) => byte === 5));
  heap.free(moved);
  assert.equal(heap.contains(moved), false);
  heap.free(moved);
  heap.free(moved + 16);
  assert.equal(createAbi(heap).realloc(moved, 10), 0);
  assert.deepEqual(
    messages().map((text) => text.replaceAll(/ at 0x.*$| of 0x[^,]*/g, "")),
    [
      "ERR_DOUBLE_FREE double free of the block of 200 bytes",
      "ERR_INTERIOR_POINTER free, 16 bytes into the block of 200 bytes",
      "ERR_REALLOC_AFTER_FREE realloc of the block of 200 bytes",
    ],
  );
  const view = heap.allocArray(Uint32Array, 10);
  assert.ok(guardedHeap.isGuarded(view.ptr));
  heap.free(view.ptr);
  assert.equal(guardedHeap.stats().blocks, 0);
  guardedHeap.destroy();
  assert.equal(guardedHeap.isGuarded(heap.malloc(64)), false);
});

test("a heap beside the first has no guarded blocks, a second guarded allocator has its own", {
  skip,
}, () => {
  const { heap, guardedHeap } = record();
  const beside = heap.newHeap();
  assert.equal(guardedHeap.isGuarded(beside.malloc(64)), false);
  beside.destroy();
  const second = guarded(heap, { every: 1, slots: 4 });
  const ptr = second.malloc(64);
  assert.ok(second.isGuarded(ptr) && !guardedHeap.isGuarded(ptr));
  second.free(ptr);
  second.destroy();
  guardedHeap.destroy();
  assert.equal(heap.stats().blocks, 0);
});

test("statistics count the blocks that are not guarded", { skip }, () => {
  const heap = createHeap({ release: withOsPages });
  setStatsLevel(heap, 1);
  const { guardedHeap } = record({ every: 3, slots: 500, mostPerSecond: 0 }, heap);
  const live = () => heap.stats().sizes?.normal.blocks.current ?? 0;
  const before = live();
  const ptrs = Array.from({ length: 600 }, () => heap.malloc(48));
  const own = ptrs.filter((ptr) => !guardedHeap.isGuarded(ptr)).length;
  assert.ok(own > 300 && own < 500, `${own} of 600`);
  assert.equal(live() - before, own);
  for (const ptr of ptrs) heap.free(ptr);
  assert.equal(live(), before);
  guardedHeap.destroy();
});

test("a guarded allocator that cannot be made leaves nothing behind", { skip }, () => {
  const heap = createHeap({ release: withOsPages });
  const { arch } = process;
  Object.defineProperty(process, "arch", { value: "riscv64" });
  assert.throws(() => guarded(heap, { faults: true }), { name: "RangeError" });
  Object.defineProperty(process, "arch", { value: arch });
  assert.equal(heap.stats().blocks, 0);
  assert.throws(() => guarded(heap, { slots: 65_536, slotBytes: 2 ** 20 }), {
    name: "RangeError",
    message:
      /^guarded: slots and guards would take 6\d+ bytes, more than 2 GiB; lower slots or slotBytes$/,
  });
  const guardedHeap = guarded(heap, { every: 1 });
  assert.ok(guardedHeap.isGuarded(heap.malloc(10)));
  guardedHeap.destroy();
});

test("reports that are thrown leave blocks and guards as they should be", { skip }, () => {
  const { heap, guardedHeap, wasm } = record({ place: "end", onReport: "throw" });
  const ptr = guardedHeap.malloc(20);
  heap.u8[ptr + 20] = 1;
  assert.throws(() => guardedHeap.realloc(ptr, 100), { code: "ERR_HEAP_OVERFLOW" });
  assert.equal(guardedHeap.stats().blocks, 1, "the block is where it was");
  assert.throws(() => guardedHeap.destroy(), { code: "ERR_HEAP_OVERFLOW" });
  guardedHeap.destroy();
  assert.equal(heap.stats().blocks, 0);
  assert.equal(wasm.load(ptr + 16) & 0xff, 0);
});
