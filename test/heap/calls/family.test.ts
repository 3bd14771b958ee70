/** The family of calls of the checked API and in the C ABI: rows 28, 35, 36, 37, 39, 40 and more. */
import assert from "node:assert/strict";
import { mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createAbi, createHeap, type Heap, HeapError } from "#src/heap/index.js";
import { type HeapMake, placesOf, testPlaces } from "../../support/places.js";
import { thrownText } from "../../support/thrown.js";

const places = placesOf(2 ** 26);

function everywhere(name: string, body: (make: HeapMake) => void): void {
  testPlaces(places, name, body);
}

/** A call of the C ABI; results are unsigned, as C sees them. */
function c(heap: Heap, name: string, ...args: number[]): number {
  const call = createAbi(heap)[name];
  assert.ok(call, name);
  return Number(call(...args) ?? 0) >>> 0;
}

function soil(heap: Heap, size: number): void {
  const blocks = Array.from({ length: 300 }, () => heap.malloc(size));
  for (const p of blocks) heap.u8.fill(0xff, p, p + heap.usableSize(p));
  for (const p of blocks.slice(1)) heap.free(p);
}

everywhere("rows 37, 39: the aligned family, aligned, zero, and at an offset", (make) => {
  const heap = make();
  for (const size of [50, 3000, 20_000, 100_000]) {
    soil(heap, size + 64);
    assert.equal(heap.mallocAligned(size, 64) % 64, 0);
    assert.equal((heap.mallocAlignedAt(size, 32, 8) + 8) % 32, 0);
    const zero = [
      [heap.zallocAligned(size, 64), 0],
      [heap.zallocAlignedAt(size, 64, 8), 8],
      [heap.callocAligned(2, size / 2, 64), 0],
      [heap.callocAlignedAt(2, size / 2, 64, 24), 24],
      [c(heap, "zalloc_aligned", size, 64), 0],
      [c(heap, "mi_calloc_aligned", 2, size / 2, 64), 0],
      [c(heap, "calloc_aligned_at", 2, size / 2, 64, 24), 24],
    ] as [number, number][];
    for (const [p, offset] of zero) {
      assert.equal((p + offset) % 64, 0);
      assert.ok(heap.u8.subarray(p, p + heap.usableSize(p)).every((byte) => byte === 0));
      heap.u8.fill(0xee, p, p + heap.usableSize(p));
    }
  }
});

everywhere("rezallocAligned and recallocAligned: contents stay, what grows is zero", (make) => {
  const heap = make();
  soil(heap, 1000);
  const grow: [string, (p: number, size: number) => number][] = [
    ["rezallocAligned", (p, size) => heap.rezallocAligned(p, size, 64)],
    ["rezallocAlignedAt", (p, size) => heap.rezallocAlignedAt(p, size, 64, 0)],
    ["recallocAligned", (p, size) => heap.recallocAligned(p, 2, size / 2, 64)],
    ["recallocAlignedAt", (p, size) => heap.recallocAlignedAt(p, 2, size / 2, 64, 0)],
    ["rezalloc_aligned", (p, size) => c(heap, "rezalloc_aligned", p, size, 64)],
    ["recalloc_aligned_at", (p, size) => c(heap, "mi_recalloc_aligned_at", p, 2, size / 2, 64, 0)],
  ];
  for (const [name, call] of grow) {
    const p = heap.zallocAligned(100, 64);
    heap.u8.fill(0xab, p, p + 100);
    const q = call(p, 1000);
    assert.equal(q % 64, 0, name);
    assert.ok(
      heap.u8.subarray(q, q + 100).every((byte) => byte === 0xab),
      name,
    );
    assert.ok(
      heap.u8.subarray(q + 100, q + 1000).every((byte) => byte === 0),
      name,
    );
  }
  assert.equal((heap.reallocAlignedAt(0, 100, 64, 16) + 16) % 64, 0);
  assert.equal(heap.rezallocAligned(heap.zalloc(10), 10, 8) % 8, 0);
});

everywhere("rezallocAligned and recallocAligned: down and up again shows zeros", (make) => {
  const heap = make();
  soil(heap, 100000);
  const resizes: [string, number, (p: number, size: number) => number][] = [
    ["rezallocAligned", 64, (p, size) => heap.rezallocAligned(p, size, 64)],
    ["rezallocAligned to 8", 8, (p, size) => heap.rezallocAligned(p, size, 8)],
    ["rezallocAlignedAt", 64, (p, size) => heap.rezallocAlignedAt(p, size, 64, 0)],
    ["recallocAligned", 64, (p, size) => heap.recallocAligned(p, 2, size / 2, 64)],
    ["recallocAlignedAt", 64, (p, size) => heap.recallocAlignedAt(p, 2, size / 2, 64, 0)],
    ["mi_rezalloc_aligned", 64, (p, size) => c(heap, "mi_rezalloc_aligned", p, size, 64)],
  ];
  for (const [name, alignment, resize] of resizes) {
    for (const [full, less] of [
      [200, 120],
      [200, 20],
      [9000, 6000],
      [40000, 24000],
      [200000, 9000],
    ]) {
      let p = heap.zallocAligned(full!, alignment);
      heap.u8.fill(0xff, p, p + full!);
      p = resize(p, less!);
      for (const again of [full!, 2 * full!]) {
        p = resize(p, again);
        const bytes = heap.u8.subarray(p, p + again);
        const label = `${name} ${full} ${less} ${again}`;
        assert.equal(p % alignment, 0, label);
        assert.ok(
          bytes.subarray(0, less).every((byte) => byte === 0xff),
          label,
        );
        assert.equal(
          bytes.subarray(less).findIndex((byte) => byte !== 0),
          -1,
          label,
        );
      }
      heap.free(p);
    }
  }
});

everywhere("reallocAligned and rezallocAligned align blocks that were not", (make) => {
  const heap = make();
  for (let size = 8; size < 100000; size += 1 + (size >>> 1)) {
    for (const alignment of [16, 64, 4096, 2 ** 17]) {
      const [plain, zeros, padding] = [heap.malloc(size), heap.zalloc(size), heap.malloc(size)];
      heap.u8.fill(7, plain, plain + size);
      const p = heap.reallocAligned(plain, size + 3, alignment);
      assert.equal(p % alignment, 0, `${size} to ${alignment}`);
      assert.ok(heap.u8.subarray(p, p + size).every((byte) => byte === 7));
      const q = heap.rezallocAligned(zeros, size + 3, alignment);
      const r = heap.recallocAligned(padding, 1, size, alignment);
      assert.deepEqual([q % alignment, r % alignment], [0, 0], `${size} to ${alignment}`);
      for (const block of [p, q, r]) heap.free(block);
    }
  }
});

everywhere("products that are too large are null, in every call that multiplies", (make) => {
  const heap = make();
  assert.equal(heap.callocAligned(2 ** 30, 8, 64), 0);
  assert.equal(heap.callocAlignedAt(2 ** 30, 8, 64, 8), 0);
  assert.equal(heap.recallocAligned(0, 2 ** 30, 8, 64), 0);
  assert.equal(heap.recallocAlignedAt(0, 2 ** 30, 8, 64, 8), 0);
  assert.equal(heap.reallocarray(0, 2 ** 30, 8), 0);
  for (const name of ["calloc_aligned", "mi_recalloc_aligned"]) {
    const args = name === "calloc_aligned" ? [2 ** 30, 8, 64] : [0, 2 ** 30, 8, 64];
    assert.equal(c(heap, name, ...args), 0);
  }
});

everywhere("row 40: posixMemalign and reallocarr answer errno and leave the word alone", (make) => {
  const heap = make();
  const out = heap.zalloc(8);
  heap.u32[out / 4] = 7;
  assert.equal(heap.posixMemalign(out, 3, 100), 22);
  assert.equal(heap.posixMemalign(0, 64, 100), 22);
  assert.equal(heap.posixMemalign(out, 64, 0x7fffffff), 12);
  assert.equal(heap.u32[out / 4], 7);
  assert.equal(heap.posixMemalign(out, 64, 100), 0);
  const p = heap.u32[out / 4] as number;
  assert.equal(p % 64, 0);
  heap.u8.fill(9, p, p + 100);
  assert.equal(heap.reallocarr(out, 2 ** 30, 8), 12);
  assert.equal(heap.reallocarr(0, 1, 8), 22);
  assert.equal(heap.u32[out / 4], p);
  assert.equal(heap.reallocarr(out, 10, 1000), 0);
  const q = heap.u32[out / 4] as number;
  assert.ok(heap.usableSize(q) >= 10_000 && heap.u8[q + 99] === 9);
  assert.equal(c(heap, "reallocarr", out, 1, 10), 0);
});

everywhere("valloc and pvalloc: pages of 4 KiB", (make) => {
  const heap = make();
  for (const valloc of [heap.valloc(10), c(heap, "mi_valloc", 10)]) {
    assert.equal(valloc % 4096, 0);
  }
  for (const p of [heap.pvalloc(4097), c(heap, "pvalloc", 4097)]) {
    assert.equal(p % 4096, 0);
    assert.ok(heap.usableSize(p) >= 8192);
  }
  assert.equal(heap.pvalloc(0x7fffffff), 0);
  assert.equal(c(heap, "pvalloc", 0xffffffff), 0);
});

everywhere("sized frees check what they are told", (make) => {
  const heap = make();
  const p = heap.memalign(64, 100);
  const holds = heap.usableSize(p);
  const hex = `0x${p.toString(16)}`;
  assert.equal(
    thrownText(() => heap.freeSize(p, holds + 1)),
    `HeapError: freeSize: ${hex} holds ${holds} bytes, not ${holds + 1}`,
  );
  const big = 2 ** 20;
  const wrong = `HeapError: freeSizeAligned: ${hex} is not aligned to ${big}`;
  assert.equal(
    thrownText(() => heap.freeSizeAligned(p, 100, big)),
    wrong,
  );
  assert.equal(
    thrownText(() => heap.freeAligned(p, big)),
    wrong.replace("freeSizeAligned", "freeAligned"),
  );
  assert.equal(heap.stats().blocks, 1);
  heap.freeSizeAligned(p, 100, 64);
  heap.freeSize(heap.malloc(10), 10);
  heap.freeAligned(heap.memalign(32, 10), 32);
  heap.freeSize(0, 10);
  assert.equal(heap.stats().blocks, 0);
  try {
    heap.freeSize(heap.malloc(8), 100);
    assert.fail();
  } catch (error) {
    assert.ok(error instanceof HeapError && error.code === "ERR_SIZE_MISMATCH");
  }
});

everywhere("row 28: null is fine for every free; cfree ignores strangers", (make) => {
  const heap = make();
  heap.cfree(0);
  heap.cfree(12);
  const names = ["free", "cfree", "free_size", "free_aligned", "free_size_aligned", "_ZdlPv"];
  for (const name of names) c(heap, name, 0, 8, 8);
  assert.deepEqual([heap.mallocSize(0), c(heap, "malloc_size", 0)], [0, 0]);
  const p = heap.malloc(100);
  assert.deepEqual([heap.mallocSize(p), heap.mallocGoodSize(100)], [112, 112]);
  heap.cfree(p);
  assert.equal(heap.stats().blocks, 0);
});

everywhere("row 35: strdup and strndup", (make) => {
  const heap = make();
  const hello = heap.allocString("hello", { terminate: true }).ptr;
  assert.equal(heap.readString(heap.strdup(hello)), "hello");
  assert.equal(heap.readString(heap.strndup(hello, 3)), "hel");
  assert.deepEqual([heap.strdup(0), heap.strndup(0, 3)], [0, 0]);
  assert.equal(thrownText(() => heap.strndup(hello, -1)).slice(0, 24), "RangeError: max must be ");
});

everywhere("realpath: links and dots resolved, in a new block or where the caller says", (make) => {
  const heap = make();
  const folder = mkdtempSync(join(tmpdir(), "terrane-"));
  try {
    symlinkSync(folder, join(folder, "grüße"));
    const path = heap.allocString(join(folder, ".", "grüße"), { terminate: true }).ptr;
    assert.equal(heap.readString(heap.realpath(path)), realpathSync(folder));
    const into = heap.zalloc(4096);
    assert.equal(c(heap, "realpath", path, into), into);
    assert.equal(heap.readString(into), realpathSync(folder));
    const nothing = heap.allocString(join(folder, "nothing"), { terminate: true }).ptr;
    assert.deepEqual([heap.realpath(nothing), heap.realpath(0)], [0, 0]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

everywhere("row 36: new, its handler, and what it reports", (make) => {
  const codes: number[] = [];
  const heap = make({ onError: (code) => codes.push(code) });
  assert.equal(heap.newNothrow(0x80000000), 0);
  assert.deepEqual(codes.splice(0), [75, 75, 12, 12]);
  assert.equal(heap.newAlignedNothrow(0x80000000, 64), 0);
  assert.deepEqual(codes.splice(0), [12]);
  const none = (call: string, size: number) => `HeapError: ${call}: no memory for ${size} bytes`;
  assert.equal(
    thrownText(() => heap.newN(2 ** 30, 8)),
    none("new", 0xffffffff),
  );
  assert.equal(
    thrownText(() => heap.newAligned(0x7fffffff, 64)),
    none("newAligned", 0x7fffffff),
  );
  const p = heap.newN(10, 10);
  assert.equal(
    thrownText(() => heap.newRealloc(p, 0x7fffffff)),
    none("newRealloc", 0x7fffffff),
  );
  assert.equal(
    thrownText(() => heap.newReallocn(p, 2 ** 30, 8)),
    none("newRealloc", 0xffffffff),
  );
  heap.u8[p] = 5;
  const moved = heap.newReallocn(p, 100, 100);
  assert.equal(heap.u8[moved], 5);
  assert.equal(
    thrownText(() => c(heap, "_Znwm", 0x7fffffff)),
    none("operator new", 0x7fffffff),
  );
  let asked = 0;
  heap.setNewHandler(() => {
    asked += 1;
    if (asked === 3) heap.setNewHandler(undefined);
  });
  codes.length = 0;
  assert.equal(heap.newNothrow(0x7fffffff), 0);
  assert.equal(asked, 3);
  assert.equal(codes.at(-1), 12);
});

test("a wasm program's operator new asks the handler, which frees memory", () => {
  const heap = createHeap({ maximum: 2 ** 20 });
  const hoard: number[] = [];
  for (let p = heap.malloc(60_000); p !== 0; p = heap.malloc(60_000)) hoard.push(p);
  heap.setNewHandler(() => heap.free(hoard.pop() as number));
  const p = c(heap, "_Znam", 60_000);
  assert.ok(heap.contains(p));
  assert.equal(c(heap, "_ZnwmSt11align_val_t", 60_000, 4096) % 4096, 0);
  assert.equal(hoard.length < 16, true);
});

everywhere("C++: every operator new has its delete", (make) => {
  const heap = make();
  for (const size of ["m", "j"]) {
    for (const kind of ["w", "a"]) {
      const [make_, drop] = [`_Zn${kind}${size}`, kind === "w" ? "_ZdlPv" : "_ZdaPv"];
      c(heap, drop, c(heap, make_, 100));
      c(heap, `${drop}${size}`, c(heap, make_, 100), 100);
      c(heap, `${drop}RKSt9nothrow_t`, c(heap, `${make_}RKSt9nothrow_t`, 100, 0), 0);
      c(heap, `${drop}St11align_val_t`, c(heap, `${make_}St11align_val_t`, 100, 64), 64);
      c(heap, `${drop}${size}St11align_val_t`, c(heap, `${make_}St11align_val_t`, 9, 64), 9, 64);
      const tagged = `${make_}St11align_val_tRKSt9nothrow_t`;
      assert.equal(c(heap, tagged, 100, 256, 0) % 256, 0);
      assert.equal(c(heap, `${make_}RKSt9nothrow_t`, 0x7fffffff, 0), 0);
      assert.equal(c(heap, tagged, 0x7fffffff, 256, 0), 0);
    }
  }
  assert.equal(heap.stats().blocks, 4);
});

everywhere("every name of C has its mi_ name, and the same answer", (make) => {
  const heap = make();
  const names = Object.keys(createAbi(heap)).filter((name) => !name.startsWith("_Z"));
  const plain = names.filter((name) => !name.startsWith("mi_"));
  assert.ok(plain.length > 80, `${plain.length}`);
  // C's wide characters have 4 bytes in wasm32, mimalloc's 2.
  for (const name of plain.filter((each) => each !== "wcsdup")) {
    assert.equal(createAbi(heap)[`mi_${name}`], createAbi(heap)[name], name);
  }
  const own = names.filter((name) => name.startsWith("mi_") && !createAbi(heap)[name.slice(3)]);
  const process = "version|is|process|thread|option|stats|register|debug";
  const prefixes = `${process}|reserve|manage|arena|heap_new_in|heap_visit`;
  assert.match(own.join(), new RegExp(`^(mi_(${prefixes})(_\\w*)?,?)+$`));
});

test("what the core has, a wasm program calls without a step through JavaScript", () => {
  const names = ["malloc", "free", "_Znwm", "_ZdlPvm", "zalloc", "reallocn", "free_size"];
  const abi = createAbi(createHeap());
  for (const name of names) assert.match(String(abi[name]), /\[native code\]/, name);
  // The core's numbers of errno are Linux's: WASI's are put in their place on the way.
  const ofLinux = createAbi(createHeap(), { errno: "linux" });
  for (const name of [...names, "reallocarr", "posix_memalign"]) {
    assert.match(String(ofLinux[name]), /\[native code\]/, name);
  }
});

everywhere("wrong alignments, offsets and sizes are refused by name", (make) => {
  const heap = make();
  const sizes = [
    () => heap.zallocAligned(-1, 64),
    () => heap.zallocAlignedAt(1, 64, -1),
    () => heap.callocAligned(-1, 1, 64),
    () => heap.recallocAligned(0, 1, -1, 64),
    () => heap.pvalloc(-1),
    () => heap.posixMemalign(8, -1, 1),
    () => heap.reallocarr(8, 1, -1),
    () => heap.newAligned(-1, 64),
    () => heap.freeSize(0, -1),
  ];
  for (const call of sizes)
    assert.match(thrownText(call), /^RangeError: \w+ must be a whole number from 0/);
  const alignments = [
    () => heap.mallocAligned(1, 3),
    () => heap.zallocAligned(1, 0),
    () => heap.rezallocAligned(0, 1, 24),
    () => heap.newAlignedNothrow(1, 24),
    () => heap.freeAligned(0, 24),
  ];
  for (const call of alignments)
    assert.match(thrownText(call), /^RangeError: alignment must be a power/);
  const pointers = [
    () => heap.reallocAlignedAt(12, 1, 64, 0),
    () => heap.rezallocAligned(12, 1, 64),
    () => heap.newRealloc(12, 1),
    () => heap.freeSize(12, 1),
    () => heap.mallocSize(12),
  ];
  for (const call of pointers)
    assert.match(thrownText(call), /^HeapError: \w+: 0xc is not a block/);
});
