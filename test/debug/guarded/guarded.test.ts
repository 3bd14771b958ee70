/** Blocks beside guard pages: where they lie, what traps, and what is said of it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type GuardedOptions, guarded, type Report } from "#src/debug/index.js";
import { createHeap, type Heap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { createAllocator, pipe, segregated, std } from "#src/layers/index.js";
import { arrayBuffer, osMemory, sharedArrayBuffer, wasmMemory } from "#src/memory/index.js";
import { anyHeap } from "../../support/any-heap.js";
import { os, skip, skipTraps } from "../../support/os.js";
import { probe } from "../../support/probe.js";
import { Random, seedOf } from "../../support/random.js";

const trap = { name: "RuntimeError", message: /memory access out of bounds/ };

function watched(options: GuardedOptions = {}, heap: Heap = createHeap({ release: true })) {
  const reports: Report[] = [];
  const door = guarded(heap, {
    every: 1,
    onReport: (report) => reports.push(report),
    ...options,
  });
  const messages = () => reports.map(({ code, message }) => `${code} ${message}`);
  return { heap, door, reports, messages, wasm: probe(heap.memory as WebAssembly.Memory) };
}

for (const shared of [false, true]) {
  const kind = shared ? "shared memory" : "memory";
  test(`${kind}: an access behind a block that ends at its guard traps`, {
    skip: skipTraps,
  }, (t) => {
    const heap = anyHeap({ shared, release: true } as { shared: true });
    if (!heap.source.capabilities.canProtect) return t.skip("guards by mprotect cannot be shared");
    const { door, wasm } = watched({ place: "end" }, heap);
    for (const size of [1, 16, 32, 100, 4000, os.pageBytes]) {
      const ptr = door.malloc(size);
      const end = Math.ceil((ptr + size) / 16) * 16;
      assert.equal(end % os.pageBytes, 0);
      assert.equal(ptr % 16, 0);
      wasm.write(ptr, size);
      assert.throws(() => wasm.write(ptr, end - ptr + 1), trap, `${size} bytes`);
      assert.throws(() => wasm.load(end), trap);
      wasm.write(ptr, size);
      door.free(ptr);
    }
    door.deinit();
  });

  test(`${kind}: an access to a freed block traps, until its slot is used again`, {
    skip: skipTraps,
  }, (t) => {
    const heap = anyHeap({ shared, release: true } as { shared: true });
    if (!heap.source.capabilities.canProtect) return t.skip("guards by mprotect cannot be shared");
    const { door, wasm } = watched({ place: "end", slots: 4 }, heap);
    const first = door.malloc(64);
    door.free(first);
    for (let i = 0; i < 3; i++) {
      const next = door.malloc(64);
      assert.notEqual(next, first);
      door.free(next);
      assert.throws(() => wasm.load(first), trap);
      assert.throws(() => wasm.store(first + 32, 1), trap);
    }
    assert.equal(door.malloc(64), first, "the slot that was freed first");
    assert.equal(wasm.load(first), 0);
    door.deinit();
  });
}

test("an access in front of a block that begins at its guard traps", { skip: skipTraps }, () => {
  const { door, wasm } = watched({ place: "start" });
  const ptr = door.malloc(100);
  assert.equal(ptr % os.pageBytes, 0);
  wasm.write(ptr, 100);
  assert.throws(() => wasm.load(ptr - 4), trap);
  assert.throws(() => wasm.store(ptr - 1, 0), trap);
});

test("both places take turns", { skip }, () => {
  const { door } = watched();
  const starts = Array.from({ length: 6 }, () => door.malloc(48) % os.pageBytes === 0);
  assert.deepEqual(starts, [false, true, false, true, false, true]);
});

test("exact: a block of any size ends at its guard", { skip: skipTraps }, () => {
  const { door, wasm } = watched({ place: "end", exact: true });
  for (const size of [1, 3, 5, 17, 4095]) {
    const ptr = door.malloc(size);
    assert.equal((ptr + size) % os.pageBytes, 0);
    wasm.write(ptr, size);
    assert.throws(() => wasm.write(ptr, size + 1), trap);
  }
});

test("of a slot of many pages only those of the block are accessible", { skip: skipTraps }, () => {
  const { door, wasm } = watched({ slotBytes: 5 * os.pageBytes, slots: 3 });
  const { pageBytes } = os;
  const end = door.malloc(pageBytes + 16);
  assert.equal((end + pageBytes + 16) % pageBytes, 0);
  wasm.write(end, pageBytes + 16);
  assert.throws(() => wasm.load(Math.floor(end / pageBytes) * pageBytes - 4), trap);
  const start = door.malloc(pageBytes + 16);
  wasm.write(start, pageBytes + 16);
  assert.throws(() => wasm.load(start + 2 * pageBytes), trap);
  assert.notEqual(door.malloc(5 * pageBytes), 0);
  assert.equal(door.stats().guarded, 3);
});

test("blocks that find no slot, or are too large for one, go by", { skip }, () => {
  const { heap, door } = watched({ slots: 2 });
  const before = heap.stats().blocks;
  const ptrs = [10, 20, 30, 2 * os.pageBytes].map((size) => door.malloc(size));
  assert.deepEqual(
    ptrs.map((ptr) => door.isGuarded(ptr)),
    [true, true, false, false],
  );
  assert.equal(heap.stats().blocks, before + 2);
  const { blocks, guarded: count, missed } = door.stats();
  assert.deepEqual([blocks, count, missed], [2, 2, 2]);
  for (const ptr of ptrs) door.free(ptr);
  assert.equal(heap.stats().blocks, before);
  assert.equal(door.stats().blocks, 0);
});

test("one in so many is guarded, and a seed makes the same choice again", { skip }, () => {
  const choice = (seed: number) => {
    const { door } = watched({ every: 10, seed, slots: 1000, mostPerSecond: 0 });
    const ptrs = Array.from({ length: 5000 }, () => door.malloc(24));
    const chosen = ptrs.flatMap((ptr, index) => (door.isGuarded(ptr) ? [index] : []));
    for (const ptr of ptrs) door.free(ptr);
    return chosen;
  };
  const first = choice(7);
  assert.ok(first.length > 400 && first.length < 600, `${first.length} of 5000`);
  assert.deepEqual(choice(7), first);
  assert.notDeepEqual(choice(8), first);
});

test("no more than so many in a second are guarded", { skip }, () => {
  const { door } = watched({ every: 2, slots: 1000, mostPerSecond: 1 });
  const from = performance.now();
  for (let i = 0; i < 2000; i++) door.free(door.malloc(24));
  const seconds = (performance.now() - from) / 1000;
  const { guarded: count, missed } = door.stats();
  assert.ok(count >= 1 && count <= 1 + Math.ceil(seconds));
  assert.ok(missed > 5 && count + missed < 500, "those that come too soon become rarer");
});

test("what a free finds: twice, inside, elsewhere", { skip }, () => {
  const { door, messages, reports } = watched({ place: "end" });
  const [kept, freed] = [door.malloc(64), door.malloc(64)];
  const at = (ptr: number) => `0x${ptr.toString(16)}`;
  door.free(freed);
  door.free(freed);
  door.free(kept + 8);
  assert.equal(door.realloc(freed, 10), 0);
  door.free(kept - 64);
  door.free(kept + 64);
  assert.deepEqual(messages(), [
    `ERR_DOUBLE_FREE double free of the block of 64 bytes at ${at(freed)}`,
    `ERR_INTERIOR_POINTER free of ${at(kept + 8)}, 8 bytes into the block of 64 bytes at ${at(kept)}`,
    `ERR_USE_AFTER_FREE realloc of the block of 64 bytes at ${at(freed)} after it was freed`,
    `ERR_INTERIOR_POINTER free of ${at(kept - 64)}, -64 bytes into the block of 64 bytes at ${at(kept)}`,
    `ERR_INVALID_FREE free of ${at(kept + 64)}, which is no block; 0 bytes behind the end of the block of 64 bytes at ${at(kept)}`,
  ]);
  assert.deepEqual(
    reports[0]?.stacks.map(({ title }) => title),
    ["allocated", "freed first", "freed again"],
  );
  for (const { stacks } of reports) {
    for (const { frames } of stacks) assert.match(String(frames[0]?.url), /guarded\.test/);
  }
  door.free(kept);
});

test("what is written beside a block where no guard is, free and check find", { skip }, () => {
  const { door, heap, messages } = watched({ place: "end" });
  const ptr = door.malloc(20);
  heap.u8[ptr + 20] = 1;
  heap.u8[ptr - 3] = 1;
  door.check();
  const other = door.malloc(20);
  heap.u8[other + 21] = 1;
  heap.u8[other + 23] = 1;
  door.free(other);
  const at = (where: number) => `the block of 20 bytes at 0x${where.toString(16)}`;
  assert.deepEqual(messages(), [
    `ERR_WRITE_BEFORE_START write before the start of ${at(ptr)}: 2 bytes changed, the first at offset -3`,
    `ERR_WRITE_PAST_END write past the end of ${at(other)}: 2 bytes changed, the first at offset 21`,
  ]);
});

test("realloc moves a guarded block with its contents, calloc gives zeros", { skip }, (t) => {
  const seed = seedOf(7403);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const { door, heap, reports } = watched({
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
      door.free(block.ptr);
      live.splice(index, 1);
    } else if (block && random.chance(30)) {
      const ptr = door.realloc(block.ptr, size);
      assert.ok(whole({ ...block, ptr, size: Math.min(size, block.size) }));
      heap.u8.fill(fill, ptr, ptr + size);
      live[index] = { ptr, size, fill };
    } else {
      const ptr = random.chance(50) ? door.calloc(1, size) : door.malloc(size);
      if (door.isGuarded(ptr)) assert.equal(door.usableSize(ptr), size);
      assert.ok(door.usableSize(ptr) >= size);
      heap.u8.fill(fill, ptr, ptr + size);
      live.push({ ptr, size, fill });
    }
    if (step % 100 === 0) {
      const zero = door.calloc(3, 100);
      assert.ok(heap.u8.subarray(zero, zero + 300).every((byte) => byte === 0));
      door.free(zero);
    }
  }
  for (const { ptr } of live) door.free(ptr);
  assert.ok(door.stats().guarded > 500);
  assert.deepEqual([door.stats().blocks, reports], [0, []]);
});

test("any alignment that fits a slot is kept", { skip }, () => {
  const { door } = watched({ slots: 128 });
  for (let alignment = 1; alignment <= 65536; alignment *= 2) {
    for (const size of [1, 20, 700]) {
      const ptr = door.memalign(alignment, size);
      assert.equal(ptr % alignment, 0);
      door.free(ptr);
    }
  }
});

test("without the handler an error names the blocks that it may have been", {
  skip: skipTraps,
}, () => {
  const { door, wasm } = watched({ place: "end" });
  const [freed, live] = [door.malloc(32), door.malloc(48)];
  door.free(freed);
  let error: unknown;
  try {
    wasm.load(freed);
  } catch (caught) {
    error = caught;
  }
  const report = door.explain(error);
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
  assert.equal(door.explain(new Error("memory access out of bounds")), undefined);
  assert.equal(door.explain("text"), undefined);
  assert.throws(() => door.run(() => wasm.load(freed)), trap, "run leaves what it cannot explain");
  assert.equal(
    door.run(() => wasm.load(live)),
    0,
  );
});

test("deinit gives all memory back, and makes it accessible", { skip }, () => {
  const { heap, door, wasm } = watched();
  const ptrs = [door.malloc(10), door.malloc(10)];
  door.deinit();
  door.deinit();
  assert.equal(heap.stats().blocks, 0);
  for (const ptr of ptrs) wasm.load(ptr);
  assert.equal(door.isGuarded(door.malloc(10)), false);
  const next = watched({}, heap).door;
  assert.ok(next.isGuarded(next.malloc(10)));
});

test("a heap that does not release, and a composition, can be guarded too", {
  skip: skipTraps,
}, () => {
  const plain = createHeap({ release: os.guardKind === "mprotect" });
  const pool = createAllocator(pipe(std(plain), segregated()));
  for (const door of [
    guarded(plain, { every: 1 }),
    guarded(pool, { every: 1, source: plain.source }),
  ]) {
    const ptr = door.malloc(16);
    assert.throws(() => probe(plain.memory as WebAssembly.Memory).load(ptr + os.pageBytes), trap);
    door.free(ptr);
    door.deinit();
  }
  const other = createHeap({ backend: javascript, memory: osMemory() });
  const door = guarded(other, { every: 1 });
  other.u8[door.malloc(16)] = 1;
  door.deinit();
});

const backs: [string, () => Heap][] = [
  ["wasm", () => createHeap({ release: true })],
  ["js", () => createHeap({ release: true, backend: javascript, memory: wasmMemory() })],
];

for (const [name, create] of backs) {
  test(`${name}: C's names, for a wasm module`, { skip: skipTraps }, () => {
    const { heap, door, wasm } = watched({ place: "end", slots: 32 }, create());
    const { abi } = door;
    const ptr = abi.malloc(64);
    assert.throws(() => wasm.load(ptr + 64), trap);
    assert.equal(abi.malloc_usable_size(ptr), 64);
    assert.equal(abi.malloc(-1), 0);
    assert.equal(abi.calloc(0x10000, 0x10000), 0);
    assert.equal(abi.realloc(ptr, -1), 0);
    assert.equal(abi.reallocarray(ptr, 0x10000, 0x10000), 0);
    const moved = abi.realloc(ptr, 128);
    assert.throws(() => wasm.load(ptr), trap);
    assert.equal(abi.memalign(256, 100) % 256, 0);
    assert.equal(abi.aligned_alloc(3, 100), 0);
    const out = abi.calloc(1, 4);
    assert.equal(abi.posix_memalign(out, 64, 100), 0);
    assert.equal((heap.u32[out >>> 2] as number) % 64, 0);
    assert.equal(abi.posix_memalign(out, 3, 100), 22);
    assert.equal(abi.posix_memalign(out, 64, -1), 12);
    abi.free(moved);
    abi.free(0);
    assert.throws(() => wasm.load(moved), trap);
    door.deinit();
    const after = abi.malloc(64);
    assert.equal(door.isGuarded(after), false);
    abi.free(after);
  });

  test(`${name}: from wasm, too, one in so many is guarded, and stacks begin at the caller`, {
    skip,
  }, () => {
    const heap = create();
    const { door, reports } = watched({ every: 10, seed: 3, slots: 2000, mostPerSecond: 0 }, heap);
    // A function of WebAssembly has a number for a name: then no JavaScript is on the way.
    assert.equal(/^\d+$/.test(door.abi.malloc.name), name === "wasm");
    const caller = looper(door.abi.malloc, door.abi.free);
    const ptrs = Array.from({ length: 5000 }, () => caller.get(40) >>> 0);
    const chosen = ptrs.filter((ptr) => door.isGuarded(ptr));
    assert.ok(chosen.length > 400 && chosen.length < 600, `${chosen.length} of 5000`);
    for (const ptr of ptrs) caller.put(ptr);
    assert.deepEqual([door.stats().blocks, reports], [0, []]);
    caller.put(chosen[0] as number);
    assert.equal(reports[0]?.code, "ERR_DOUBLE_FREE");
    const tops = reports[0]?.stacks.map(({ frames }) => frames[0]?.url ?? "");
    assert.equal(tops?.length, 3);
    for (const top of tops ?? []) assert.match(top, /wasm-function\[[23]\]/);
  });
}

test("the heap's own functions know guarded blocks, and its memory is whole after all", {
  skip,
}, () => {
  const { heap, door, messages } = watched({ place: "end" });
  const ptr = heap.malloc(64);
  assert.ok(door.isGuarded(ptr));
  assert.equal(heap.usableSize(ptr), 64);
  assert.equal(heap.usableSize(ptr + 60), 4);
  assert.ok(heap.contains(ptr));
  heap.u8.fill(5, ptr, ptr + 64);
  const moved = heap.realloc(ptr, 200);
  assert.ok(door.isGuarded(moved) && moved !== ptr);
  assert.ok(heap.u8.subarray(moved, moved + 64).every((byte) => byte === 5));
  heap.free(moved);
  assert.equal(heap.contains(moved), false);
  heap.free(moved);
  heap.free(moved + 16);
  assert.equal(heap.abi.realloc(moved, 10), 0);
  assert.deepEqual(
    messages().map((text) => text.replaceAll(/ at 0x.*$| of 0x[^,]*/g, "")),
    [
      "ERR_DOUBLE_FREE double free of the block of 200 bytes",
      "ERR_INTERIOR_POINTER free, 16 bytes into the block of 200 bytes",
      "ERR_USE_AFTER_FREE realloc of the block of 200 bytes",
    ],
  );
  const view = heap.allocArray(Uint32Array, 10);
  assert.ok(door.isGuarded(view.ptr));
  heap.free(view.ptr);
  assert.equal(door.stats().blocks, 0);
  door.deinit();
  assert.equal(door.isGuarded(heap.malloc(64)), false);
});

test("a heap beside the first, and a second door, get along without", { skip }, () => {
  const { heap, door } = watched();
  const beside = heap.newHeap();
  assert.equal(door.isGuarded(beside.malloc(64)), false);
  beside.destroy();
  const second = guarded(heap, { every: 1, slots: 4 });
  const ptr = second.malloc(64);
  assert.ok(second.isGuarded(ptr) && !door.isGuarded(ptr));
  second.free(ptr);
  second.deinit();
  door.deinit();
  assert.equal(heap.stats().blocks, 0);
});

test("statistics and a sampler hear of the blocks that are not guarded", { skip }, () => {
  const heap = createHeap({ release: true, statsLevel: 1 });
  const { door } = watched({ every: 3, slots: 500, mostPerSecond: 0 }, heap);
  const live = () => heap.stats().sizes?.normal.blocks.current ?? 0;
  const before = live();
  const ptrs = Array.from({ length: 600 }, () => heap.malloc(48));
  const own = ptrs.filter((ptr) => !door.isGuarded(ptr)).length;
  assert.ok(own > 300 && own < 500, `${own} of 600`);
  assert.equal(live() - before, own);
  for (const ptr of ptrs) heap.free(ptr);
  assert.equal(live(), before);
  door.deinit();
});

test("what cannot begin leaves nothing behind", { skip }, () => {
  const heap = createHeap({ release: true });
  const { arch } = process;
  Object.defineProperty(process, "arch", { value: "riscv64" });
  assert.throws(() => guarded(heap, { faults: true }), { name: "RangeError" });
  Object.defineProperty(process, "arch", { value: arch });
  assert.equal(heap.stats().blocks, 0);
  assert.throws(() => guarded(heap, { slots: 65_536, slotBytes: 2 ** 20 }), {
    name: "RangeError",
    message: /^guarded: slots and guards would take 6\d+ bytes, more than 2 GiB$/,
  });
  const door = guarded(heap, { every: 1 });
  assert.ok(door.isGuarded(heap.malloc(10)));
  door.deinit();
});

test("reports that are thrown leave blocks and guards as they should be", { skip }, () => {
  const { heap, door, wasm } = watched({ place: "end", onReport: "throw" });
  const ptr = door.malloc(20);
  heap.u8[ptr + 20] = 1;
  assert.throws(() => door.realloc(ptr, 100), { code: "ERR_WRITE_PAST_END" });
  assert.equal(door.stats().blocks, 1, "the block is where it was");
  assert.throws(() => door.deinit(), { code: "ERR_WRITE_PAST_END" });
  door.deinit();
  assert.equal(heap.stats().blocks, 0);
  assert.equal(wasm.load(ptr + 16) & 0xff, 0);
});

interface Caller {
  get(size: number): number;
  put(ptr: number): void;
}

/** A module that imports an allocator, and calls it for its exports get and put. */
function looper(malloc: unknown, free: unknown): Caller {
  const bytes = Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...[1, 10, 2, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 0],
    ...[2, 13, 2, 1, 0x61, 1, 0x6d, 0, 0, 1, 0x61, 1, 0x66, 0, 1],
    ...[3, 3, 2, 0, 1],
    ...[7, 13, 2, 3, 0x67, 0x65, 0x74, 0, 2, 3, 0x70, 0x75, 0x74, 0, 3],
    ...[10, 15, 2, 6, 0, 0x20, 0, 0x10, 0, 0x0b, 6, 0, 0x20, 0, 0x10, 1, 0x0b],
  ]);
  const imports = { a: { m: malloc, f: free } } as WebAssembly.Imports;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
  return exports as unknown as Caller;
}

test("options and allocators that make no sense are refused", () => {
  const refused = (options: object, name: string, message: string) =>
    assert.throws(() => guarded(createHeap(), options), { name, message });
  refused({ every: 0 }, "RangeError", "every must be a whole number from 1 to 1073741824, not 0");
  refused({ slots: "9" }, "TypeError", "slots must be a number, not string");
  refused({ place: "top" }, "RangeError", 'place must be "end", "start" or "both", not "top"');
  refused({ place: 1 }, "TypeError", 'place must be "end", "start" or "both", not number');
  refused({ faults: 1 }, "TypeError", "faults must be true or false, not number");
  refused({ source: {} }, "TypeError", "source must be a memory source, not object");
  assert.throws(() => guarded(createHeap(), { guard: 1 } as never), /unknown option guard; known/);
  const pool = createAllocator(pipe(std(createHeap()), segregated()));
  assert.throws(() => guarded(pool), {
    name: "TypeError",
    message: "guarded needs a heap, or an allocator and its source",
  });
});

test("where growth undoes guards, the heap must see to them", { skip }, (t) => {
  if (os.guardKind !== "mprotect") return t.skip("guards of this kernel stay");
  assert.throws(() => guarded(createHeap()), {
    name: "RangeError",
    message: "guarded: this kernel needs a heap made with release: true",
  });
});

test("memories whose pages stay accessible are refused", { skip }, () => {
  for (const memory of [arrayBuffer(), sharedArrayBuffer()]) {
    const shared = memory.capabilities.shared as true;
    const heap = anyHeap({ backend: "js", memory, shared, release: true });
    assert.throws(() => guarded(heap), {
      name: "RangeError",
      message: `guarded: pages of this ${memory.kind} cannot be made inaccessible`,
    });
  }
  assert.throws(() => guarded(createHeap({ maximum: 2 ** 18, release: true })), {
    name: "RangeError",
    message: /^guarded: no memory for \d+ bytes of slots$/,
  });
});
