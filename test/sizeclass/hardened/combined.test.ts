/**
 * What Scudo's combined_test.cpp and related tests check, written anew, over every profile: the
 * list of names, sizes and alignments, contents, realloc. The other combined-* files have the rest.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createHardenedMalloc, type HardenedMalloc } from "#src/sizeclass/index.js";
import { Random, seedOf } from "../../support/random.js";
import { names, ours } from "./combined-names.js";
import { type Combined, combinedAll, hardenedSubjects } from "./combined-subjects.js";

const root = fileURLToPath(new URL("../../../../test/", import.meta.url));

/** Titles of all tests, or how the titles from loops begin. */
function titlesAll(): string[] {
  return readdirSync(root, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".test.ts"))
    .flatMap((name) => [...readFileSync(root + name, "utf8").matchAll(/^\s*test\(\s*["`](.*)/gm)])
    .map((match) => (match[1] as string).replace(/^\$\{[\w.]+\}[,:] /, ""));
}

test("each test of Scudo has one of ours, or a reason", (t) => {
  const titles = titlesAll();
  for (const [file, list] of Object.entries(names)) {
    const rows = ours[file] ?? {};
    assert.deepEqual(Object.keys(rows).sort(), list.split(" ").sort(), file);
    for (const [name, begin] of Object.entries(rows)) {
      if (begin.startsWith("none: ")) t.diagnostic(`${file}, ${name}: ${begin}`);
      else
        assert.ok(
          titles.some((title) => title.startsWith(begin)),
          `${name}: no test begins with "${begin}"`,
        );
    }
  }
  assert.equal(Object.keys(ours).length, Object.keys(names).length);
});

/** Writes both ends of a block, and all of a small one. */
function mark(one: Combined, ptr: number, size: number): void {
  const bytes = Math.min(size, 4096);
  one.fill(ptr, bytes, 0xaa);
  one.fill(ptr + size - bytes, bytes, 0xaa);
}

let made: Combined[] | undefined;

function profiles(t: TestContext): Combined[] {
  made ??= combinedAll((name, why) => t.diagnostic(`not here: ${name}: ${why}`));
  return made;
}

for (let log = 0; log <= 20; log++) {
  test(`BasicCombined${log}: sizes around 2^${log}, at alignments up to 64 KiB`, (t) => {
    for (const one of profiles(t)) around(one, log);
  });
}

function around(one: Combined, log: number): void {
  for (let alignment = 16; alignment <= 65536; alignment *= 2) {
    for (let delta = -32; delta <= 32; delta++) {
      const size = 2 ** log + delta;
      if (size < 0) continue;
      const ptr = one.allocate(size, alignment);
      const what = `${one.name}: ${size} bytes at ${alignment}`;
      assert.ok(ptr !== 0 && ptr % alignment === 0, what);
      assert.ok(one.isOwned(ptr), what);
      assert.ok(one.exact ? one.usableSize(ptr) === size : one.usableSize(ptr) >= size, what);
      mark(one, ptr, size);
      one.free(ptr, size);
    }
  }
}

test("IsOwned: memory with any contents is not a block, and is not changed", () => {
  for (const { create } of hardenedSubjects) {
    const heap = create();
    const ptr = heap.malloc(64);
    heap.u8.fill(0x42, ptr, ptr + 64);
    for (const inside of [ptr + 16, ptr + 32, ptr + 48]) assert.equal(heap.isOwned(inside), false);
    for (const no of [0, 16, 17, ptr + 1, heap.buffer.byteLength, 2 ** 32 - 16, 2 ** 32 - 1]) {
      assert.equal(heap.isOwned(no), false, `${no}`);
    }
    assert.ok(heap.u8.subarray(ptr, ptr + 64).every((byte) => byte === 0x42));
    assert.equal(heap.isOwned(ptr), true);
    heap.free(ptr);
    assert.equal(heap.isOwned(ptr), false);
  }
});

/** Sizes for fills: 2^log and up to 512 bytes more, a few of the large ones. */
function* fillSizes(): Generator<number> {
  for (let log = 0; log <= 20; log++) {
    for (let more = 0; more <= (log > 16 ? 0 : 4); more++) yield 2 ** log + more * 128;
  }
}

const references = new Map([0, 0xab].map((byte) => [byte, Buffer.alloc(2 ** 20 + 512, byte)]));

/** Checks every byte of a block, then overwrites and frees it. */
function assertFilled(heap: HardenedMalloc, ptr: number, size: number, byte: number): void {
  const bytes = Buffer.from(heap.buffer as ArrayBuffer, ptr, size);
  const wanted = references.get(byte) as Buffer;
  assert.equal(bytes.compare(wanted, 0, size), 0, `${size} bytes of ${byte}`);
  bytes.fill(0xaa);
  heap.freeSize(ptr, size);
}

test("ZeroContents: calloc returns zeros, whatever the memory held before", () => {
  for (const { create } of hardenedSubjects) {
    const heap = create();
    for (const size of fillSizes()) assertFilled(heap, heap.calloc(1, size), size, 0);
  }
});

test("ZeroContents: so does the combined allocator", (t) => {
  for (const one of profiles(t)) {
    for (const size of [1, 100, 4096, 70_000]) {
      const before = one.allocate(size, 16);
      one.fill(before, size, 0xaa);
      one.free(before, size);
      const ptr = one.calloc(size);
      for (let at = 0; at + 4 <= size; at += 4) assert.equal(one.load32(ptr + at), 0, one.name);
      one.free(ptr, size);
    }
  }
});

test("ZeroFill: every block is zero once the fill is set", () => {
  for (const { create } of hardenedSubjects) {
    const flagged = create({ zeroContents: true });
    const heap = create();
    heap.fillContents = "zero";
    assert.equal(flagged.fillContents, "zero");
    for (const size of fillSizes()) {
      assertFilled(heap, heap.malloc(size), size, 0);
      assertFilled(flagged, flagged.realloc(0, size), size, 0);
    }
  }
});

test("PatternOrZeroFill: every block has the pattern, also large ones", () => {
  for (const { create } of hardenedSubjects) {
    const heap = create({ patternFillContents: true });
    for (const size of fillSizes()) assertFilled(heap, heap.malloc(size), size, 0xab);
    heap.fillContents = "none";
    assert.equal(heap.fillContents, "none");
    for (const wrong of ["zeros", "", null, 0]) {
      const put = () => Reflect.set(heap, "fillContents", wrong);
      assert.throws(put, /fillContents must be "none", "zero" or "pattern", not /);
    }
  }
});

test("the bytes that a block grows by in place are filled", () => {
  for (const [fill, byte] of [
    ["zero", 0],
    ["pattern", 0xab],
  ] as const) {
    const heap = createHardenedMalloc({ shuffle: false });
    const before = heap.malloc(112);
    heap.u8.fill(7, before, before + 112);
    heap.free(before);
    heap.fillContents = fill;
    const ptr = heap.malloc(90);
    assert.equal(ptr, before, "the same chunk");
    assert.equal(heap.realloc(ptr, 112), ptr);
    assert.ok(heap.u8.subarray(ptr, ptr + 112).every((one) => one === byte));
  }
});

test("BlockReuse: a freed chunk is reused at some time", (t) => {
  for (const one of profiles(t)) {
    const needle = one.allocate(1024, 16);
    one.free(needle, 1024);
    let found = false;
    for (let i = 0; i < 1024 && !found; i++) {
      const ptr = one.allocate(1024, 16);
      found = ptr === needle;
      one.free(ptr, 1024);
    }
    assert.ok(found, one.name);
  }
});

/** The first words of a block, which resizing keeps. */
function assertWords(one: Combined, ptr: number, bytes: number): void {
  for (let at = 0; at + 4 <= bytes; at += 4) {
    assert.equal(one.load32(ptr + at), 0x41414141, `${one.name}: byte ${at} of ${bytes}`);
  }
}

test("ReallocateLargeIncreasing: from 16 bytes to a mapping, contents stay", (t) => {
  for (const one of profiles(t)) {
    let size = 16;
    let ptr = one.allocate(size, 16);
    one.fill(ptr, size, 0x41);
    for (; size < one.sizeLast * 4; size *= 2) {
      ptr = one.realloc(ptr, size * 2);
      assert.notEqual(ptr, 0, one.name);
      assertWords(one, ptr, Math.min(size, 4096));
      assertWords(one, ptr + size - 16, 16);
      one.fill(ptr + size, size, 0x41);
    }
    one.free(ptr, size);
  }
});

test("ReallocateLargeDecreasing: from a mapping to nothing, contents stay", (t) => {
  for (const one of profiles(t)) {
    let size = one.sizeLast * 2;
    let ptr = one.allocate(size, 16);
    one.fill(ptr, 2048, 0x41);
    while (size > 0) {
      size = Math.floor(size / 2);
      ptr = one.realloc(ptr, size);
      assertWords(one, ptr, Math.min(size, 2048));
    }
    one.free(ptr, 0);
  }
});

test("ReallocateSame: a slightly different size keeps the block, and contents stay", (t) => {
  for (const one of profiles(t)) {
    const size = one.sizeLast - 64;
    const ptr = one.allocate(size, 16);
    let last = size;
    for (let delta = -32; delta < 32; delta += 8) {
      one.fill(ptr, last, 0x41);
      assert.equal(one.realloc(ptr, size + delta), ptr, one.name);
      assertWords(one, ptr, Math.min(last, size + delta));
      last = size + delta;
    }
    one.free(ptr, last);
  }
});

test("ReallocateInPlaceStress: blocks grow to the end of their chunks", (t) => {
  for (const one of profiles(t).filter(({ name }) => !/128 KiB|tiny/.test(name))) {
    for (let step = 1; step < 32; step += 3) {
      const size = 16 * step - 1;
      const blocks = Array.from({ length: 1000 }, () => {
        const ptr = one.realloc(one.allocate(size, 16), size + 1);
        one.fill(ptr, size + 1, step);
        return ptr;
      });
      assert.equal(new Set(blocks).size, blocks.length);
      for (const ptr of blocks) {
        assert.equal(one.load32(ptr), step * 0x01010101);
        one.free(ptr, size + 1);
      }
    }
  }
});

test("realloc keeps a block where there is no memory for another", () => {
  const heap = createHardenedMalloc({ maximum: 2 ** 26 + 2 ** 21, spaceSize: 2 ** 26 });
  const ptr = heap.malloc(300_000);
  const blocks: number[] = [];
  for (let size = 2 ** 20; size >= 1; size >>>= 1) {
    for (let one = heap.malloc(size); one !== 0; one = heap.malloc(size)) blocks.push(one);
  }
  assert.equal(heap.realloc(ptr, 2 ** 24), 0, "there is no memory for a larger block");
  assert.equal(heap.usableSize(ptr), 300_000);
  assert.equal(heap.realloc(ptr, 1000), ptr, "nor a smaller one");
  assert.equal(heap.usableSize(ptr), 1000);
  heap.free(ptr);
  for (const one of blocks) heap.free(one);
});

test("DisableMemInit: calloc returns zeros also in a thread without fills", () => {
  for (const { create } of hardenedSubjects) {
    const heap = create({ zeroContents: true });
    heap.fillContents = "none";
    for (const size of [8, 24, 40, 100, 200]) {
      const blocks = Array.from({ length: 500 }, () => heap.malloc(size));
      for (const ptr of blocks) heap.u8.fill(0xbb, ptr, ptr + size);
      for (const ptr of blocks) heap.free(ptr);
      for (let i = 0; i < 500; i++) assertFilled(heap, heap.calloc(1, size), size, 0);
    }
  }
});

test("Basic of the secondary: 64 KiB blocks of their own, aligned, 32 in any order", (t) => {
  const seed = seedOf(8300);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  for (const one of profiles(t)) {
    const size = one.sizeLast + 1;
    const aligned = one.allocate(size, 65536);
    assert.equal(aligned % 65536, 0);
    one.fill(aligned, size, 0x41);
    one.free(aligned, size);
    const blocks = Array.from({ length: 32 }, () => one.allocate(size, 16));
    for (const ptr of blocks) assert.ok(one.usableSize(ptr) >= size);
    while (blocks.length > 0) {
      const [ptr = 0] = blocks.splice(random.below(blocks.length), 1);
      one.free(ptr, size);
    }
  }
});
