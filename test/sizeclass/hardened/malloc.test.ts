/** The hardened malloc: every report with its text, fills, quarantine, conformance. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { debug } from "#src/debug/index.js";
import { createAllocator, kingsley, std } from "#src/layers/index.js";
import {
  attachHardenedMalloc,
  createHardenedMalloc,
  HardenedError,
  type HardenedMalloc,
  type HardenedOptions,
} from "#src/sizeclass/index.js";
import { profiles, Shadow, step, typedVerbs } from "../../support/model.js";
import { Random, seedOf } from "../../support/random.js";

function caught(call: () => unknown): HardenedError {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof HardenedError, `${error}`);
    return error;
  }
  return assert.fail("nothing was thrown");
}

/** Asserts a mistake: its code, and its text with the block's address for `@`. */
function reported(call: () => unknown, code: string, ptr: number, text: string): void {
  const error = caught(call);
  assert.deepEqual(
    [error.code, error.ptr, error.message],
    [code, ptr, text.replace("@", `0x${ptr.toString(16)}`)],
  );
}

test("a double free, and other uses of a block that is free", () => {
  const heap = createHardenedMalloc();
  const p = heap.malloc(100);
  heap.free(p);
  const state = "ERR_BLOCK_STATE";
  reported(() => heap.free(p), state, p, "invalid chunk state when deallocating address @");
  reported(() => heap.realloc(p, 9), state, p, "invalid chunk state when reallocating address @");
  reported(() => heap.usableSize(p), state, p, "invalid chunk state when sizing address @");
  assert.equal(heap.isOwned(p), false);
  assert.ok(heap.heap.primary.isValid());
});

test("a pointer that is not a block: misaligned, into a block, foreign", () => {
  const heap = createHardenedMalloc();
  const p = heap.malloc(100);
  const code = "ERR_MISALIGNED_POINTER";
  const q = p + 4;
  reported(() => heap.free(q), code, q, "misaligned pointer when deallocating address @");
  reported(() => heap.realloc(q, 1), code, q, "misaligned pointer when reallocating address @");
  reported(() => heap.usableSize(q), code, q, "misaligned pointer when sizing address @");
  const header = "corrupted chunk header at address @: ";
  const zero = "chunk header is zero and might indicate memory corruption or a double free";
  for (const wrong of [p + 16, p + 96, 16, 4_000_000_000]) {
    const why = wrong < heap.u8.length ? zero : "most likely due to memory corruption";
    reported(() => heap.free(wrong), "ERR_CORRUPTED_HEADER", wrong, header + why);
    assert.equal(heap.isOwned(wrong), false);
  }
  assert.equal(heap.isOwned(p), true);
  assert.equal(heap.isOwned(p + 1), false);
  heap.free(p);
});

test("any bit of a header that changes is found", () => {
  const heap = createHardenedMalloc();
  const p = heap.malloc(100);
  for (let bit = 0; bit < 96; bit++) {
    const at = p / 4 - 4 + (bit >>> 5);
    heap.u32[at] = (heap.u32[at] as number) ^ (1 << (bit & 31));
    const error = caught(() => heap.free(p));
    assert.match(error.message, /^corrupted chunk header at address 0x/, `bit ${bit}`);
    heap.u32[at] = (heap.u32[at] as number) ^ (1 << (bit & 31));
  }
  heap.free(p);
});

test("an overflow into the next block's header is found when that is freed", () => {
  const heap = createHardenedMalloc({ shuffle: false });
  const [p, q] = [heap.malloc(112), heap.malloc(112)];
  assert.equal(q - p, 128);
  heap.u8.fill(0x41, p, p + 113);
  const error = caught(() => heap.free(q));
  const why = "most likely due to memory corruption";
  assert.equal(error.message, `corrupted chunk header at address 0x${q.toString(16)}: ${why}`);
});

test("a block that is freed by another function family", () => {
  const heap = createHardenedMalloc();
  const words = ["malloc", "new", "new[]", "aligned malloc"];
  const text = (has: number, given: number) =>
    `allocation type mismatch when deallocating address @ (${words[has]} vs ${words[given]})`;
  const p = heap.malloc(10);
  reported(() => heap.operatorDelete(p), "ERR_FAMILY_MISMATCH", p, text(0, 1));
  reported(() => heap.operatorDeleteArray(p), "ERR_FAMILY_MISMATCH", p, text(0, 2));
  const n = heap.operatorNew(10);
  reported(() => heap.free(n), "ERR_FAMILY_MISMATCH", n, text(1, 0));
  reported(() => heap.operatorDeleteArray(n), "ERR_FAMILY_MISMATCH", n, text(1, 2));
  reported(
    () => heap.realloc(n, 20),
    "ERR_FAMILY_MISMATCH",
    n,
    "allocation type mismatch when reallocating address @ (new vs malloc)",
  );
  const a = heap.operatorNew(10, true);
  reported(() => heap.operatorDelete(a), "ERR_FAMILY_MISMATCH", a, text(2, 1));
  heap.operatorDelete(n);
  heap.operatorDeleteArray(a);
  heap.free(p);
  heap.free(heap.memalign(64, 10));
  const aligned = heap.memalign(64, 10);
  reported(() => heap.operatorDelete(aligned), "ERR_FAMILY_MISMATCH", aligned, text(3, 1));
  const lax = createHardenedMalloc({ deallocTypeMismatch: false });
  lax.free(lax.operatorNew(10));
  lax.operatorDelete(lax.realloc(lax.operatorNew(10), 20));
});

test("a sized delete of another size", () => {
  const heap = createHardenedMalloc();
  const p = heap.operatorNew(100);
  reported(
    () => heap.operatorDelete(p, 99),
    "ERR_SIZE_MISMATCH",
    p,
    "invalid sized delete when deallocating address @ (99 vs 100)",
  );
  heap.operatorDelete(p, 100);
  const lax = createHardenedMalloc({ deleteSizeMismatch: false });
  lax.operatorDeleteArray(lax.operatorNew(100, true), 5);
});

test("requests that fail: 0, or Scudo's text", () => {
  const calls = (heap: HardenedMalloc) => [
    () => heap.malloc(2 ** 31 - 1),
    () => heap.calloc(2 ** 20, 2 ** 20),
    () => heap.posixMemalign(2, 10),
    () => heap.posixMemalign(48, 10),
    () => heap.alignedAlloc(64, 100),
    () => heap.malloc(2 ** 27),
  ];
  const texts = [
    "requested allocation size 2147483647 (2147483663 after adjustments) exceeds maximum " +
      "supported size of 2147483647",
    "calloc parameters overflow: count * size (1048576 * 1048576) cannot be represented with " +
      "type size_t",
    "invalid alignment requested in posix_memalign: 2, alignment must be a power of two and a " +
      "multiple of sizeof(void *) == 4",
    "invalid alignment requested in posix_memalign: 48, alignment must be a power of two and a " +
      "multiple of sizeof(void *) == 4",
    "invalid alignment requested in aligned_alloc: 64, alignment must be a power of two and the " +
      "requested size 100 must be a multiple of alignment",
    "out of memory trying to allocate 134217728 bytes",
  ];
  const codes = ["ERR_SIZE_LIMIT", "ERR_SIZE_OVERFLOW", "ERR_BAD_ALIGNMENT", "ERR_BAD_ALIGNMENT"];
  codes.push("ERR_BAD_ALIGNMENT", "ERR_OUT_OF_MEMORY");
  const maximum = 2 ** 27;
  for (const call of calls(createHardenedMalloc({ maximum }))) assert.equal(call(), 0);
  const strict = createHardenedMalloc({ maximum, mayReturnNull: false });
  const errors = calls(strict).map(caught);
  assert.deepEqual(
    errors.map((error) => error.message),
    texts,
  );
  assert.deepEqual(
    errors.map((error) => error.code),
    codes,
  );
  assert.ok(strict.posixMemalign(64, 10) % 64 === 0 && strict.alignedAlloc(64, 128) % 64 === 0);
});

test("wrong flags", () => {
  const wrong = (options: object) => () => createHardenedMalloc(options as HardenedOptions);
  assert.throws(wrong({ quarantineSizeKb: -1 }), /quarantineSizeKb must be a whole number from 0/);
  assert.throws(wrong({ quarantineMaxChunkSize: "1" }), /quarantineMaxChunkSize must be a number,/);
  assert.throws(wrong({ zeroContents: 1 }), /zeroContents must be a boolean, not number/);
  assert.throws(wrong({ zeroContent: 1 }), /unknown option zeroContent; known: quarantineSizeKb,/);
  assert.throws(wrong({ space: {} }), /unknown option space; known: quarantineSizeKb,/);
  assert.throws(wrong(null as never), /^TypeError: options must be an object, not null$/);
  assert.throws(() => createHardenedMalloc().handle(), /threads need the option shared: true/);
});

test("contents: zeros, a pattern, or as they were", () => {
  const fill = (options: HardenedOptions) => {
    const heap = createHardenedMalloc({ shuffle: false, ...options });
    const p = heap.malloc(100);
    heap.u8.fill(7, p, p + 100);
    heap.free(p);
    const q = heap.malloc(100);
    assert.equal(q, p);
    const zero = heap.calloc(1, 100);
    assert.ok(heap.u8.subarray(zero, zero + 100).every((byte) => byte === 0));
    return [...new Set(heap.u8.subarray(q, q + 100))];
  };
  assert.deepEqual(fill({}), [7]);
  assert.deepEqual(fill({ zeroContents: true }), [0]);
  assert.deepEqual(fill({ patternFillContents: true }), [0xab]);
});

test("each allocator has another order of new blocks", () => {
  const orders = [0, 1, 2].map(() => {
    const heap = createHardenedMalloc();
    const first = heap.malloc(100);
    return Array.from({ length: 50 }, () => heap.malloc(100) - first).join();
  });
  assert.equal(new Set(orders).size, 3);
});

test("quarantine: freed blocks are not reused before the budget is full, oldest first", () => {
  const heap = createHardenedMalloc({ quarantineSizeKb: 10, threadLocalQuarantineSizeKb: 1 });
  const freed: number[] = [];
  const free = () => {
    const p = heap.malloc(100);
    assert.ok(!freed.includes(p), "a quarantined block came back");
    heap.free(p);
    freed.push(p);
  };
  for (let i = 0; i < 100; i++) free(); // 10 000 bytes
  const { threadBlocks, blocks, threadBytes, bytes } = heap.stats().quarantine;
  assert.equal(threadBlocks + blocks, 100);
  assert.ok(threadBytes <= 1024 && bytes <= 10240 && threadBytes + bytes === 10_000);
  const state = "ERR_BLOCK_STATE";
  const text = "invalid chunk state when deallocating address @";
  for (const p of freed) reported(() => heap.free(p), state, p, text);
  // From here on the oldest are recycled, down to nine tenths.
  for (let i = 0; i < 1000; i++) {
    const p = heap.malloc(100);
    heap.free(p);
    assert.ok(heap.stats().quarantine.bytes <= 10240);
  }
  heap.drain();
  assert.deepEqual(heap.stats().quarantine, {
    threadBlocks: 0,
    threadBytes: 0,
    blocks: 0,
    bytes: 0,
  });
  const stats = heap.heap.primary.stats().find((one) => one.size === 128);
  assert.equal(stats?.allocations, stats?.frees);
});

test("quarantine: large blocks are freed at once, and blocks of size 0 count", () => {
  const heap = createHardenedMalloc({ quarantineSizeKb: 1000, quarantineMaxChunkSize: 500 });
  heap.free(heap.malloc(501));
  assert.equal(heap.stats().quarantine.blocks, 0);
  heap.free(heap.malloc(500));
  heap.free(heap.malloc(0));
  assert.deepEqual([heap.stats().quarantine.blocks, heap.stats().quarantine.bytes], [2, 501]);
});

test("quarantine: what is written to a freed block's header is found when it is recycled", () => {
  const heap = createHardenedMalloc({ quarantineSizeKb: 100 });
  const blocks = Array.from({ length: 10 }, () => heap.malloc(100));
  for (const p of blocks) heap.free(p);
  const bad = blocks[3] as number;
  heap.u8[bad - 15] = (heap.u8[bad - 15] as number) ^ 1;
  const text = "corrupted chunk header at address @: most likely due to memory corruption";
  reported(() => heap.drain(), "ERR_CORRUPTED_HEADER", bad, text);
  heap.drain();
  const stats = heap.heap.primary.stats().find((one) => one.size === 128);
  assert.equal(stats?.allocations, (stats?.frees as number) + 1, "never used again");
});

test("recycling a live block", () => {
  const heap = createHardenedMalloc({ quarantineSizeKb: 100 });
  const [p, q] = [heap.malloc(100), heap.malloc(100)];
  heap.free(p);
  heap.free(heap.malloc(100));
  // An attacker overwrites a link: the list leads to a live block.
  heap.u32[p / 4 - 1] = q;
  reported(
    () => heap.drain(),
    "ERR_BLOCK_STATE",
    q,
    "invalid chunk state when recycling address @",
  );
  heap.free(q);
});

const variants: [string, HardenedOptions][] = [
  ["plain", {}],
  ["quarantine", { quarantineSizeKb: 64, threadLocalQuarantineSizeKb: 8 }],
  ["zeros", { zeroContents: true }],
  ["js", { backend: "js", patternFillContents: true }],
  ["shared", { shared: true, quarantineSizeKb: 16 }],
  ["tiny", { spaceSize: 2 ** 22, granule: 4096 }],
];

for (const [name, options] of variants) {
  test(`${name}: random runs beside a shadow model`, (t) => {
    for (const [number, profile] of profiles.slice(0, 2).entries()) {
      const seed = seedOf(7500 + number);
      t.diagnostic(`${profile.name}: TERRANE_SEED=${seed}`);
      const heap = createHardenedMalloc(options);
      run(heap, profile, 4000, seed);
      heap.drain();
      assert.ok(heap.heap.primary.isValid());
      const used = heap.heap.primary.stats().filter((one) => one.allocations !== one.frees);
      // The words of the quarantine's list.
      assert.deepEqual(
        used.map((one) => one.allocations - one.frees),
        [1],
      );
    }
  });
}

type Api = Omit<ConstructorParameters<typeof Shadow>[0], "bytes"> & { readonly u8: Uint8Array };

function run(api: Api, profile: (typeof profiles)[0], operations: number, seed: number): void {
  const shadow = new Shadow(typedVerbs(api));
  const random = new Random(seed);
  for (let i = 0; i < operations; i++) step(shadow, profile, random);
  assert.equal(shadow.refused, 0);
  shadow.checkAll();
  shadow.freeAll();
}

test("it serves layers and debug", () => {
  const heap = createHardenedMalloc({ quarantineSizeKb: 16 });
  const profile = { ...(profiles[1] as (typeof profiles)[0]), live: 100 };
  for (const api of [
    createAllocator(std(heap)),
    createAllocator(kingsley(std(heap))),
    debug(heap),
  ]) {
    run(api, profile, 1500, seedOf(7600));
    api.destroy();
  }
});

test("destroy of a thread's part leaves no block in quarantine", () => {
  const sizes = { quarantineSizeKb: 64, threadLocalQuarantineSizeKb: 16 };
  const heap = createHardenedMalloc({ shared: true, ...sizes, releaseInterval: -1 });
  const inUse = () =>
    heap.heap.primary.stats().reduce((sum, one) => sum + one.allocations - one.frees, 0);
  heap.drain();
  const before = inUse();
  const mine = attachHardenedMalloc(heap.handle());
  for (let i = 0; i < 20; i++) mine.free(mine.malloc(100));
  assert.equal(mine.stats().quarantine.threadBlocks, 20);
  mine.destroy();
  mine.destroy();
  assert.throws(() => mine.malloc(1), { code: "ERR_HEAP_DESTROYED" });
  heap.drain();
  assert.equal(inUse(), before);
});

test("a damaged block that is found when a thread detaches does not stop it", () => {
  const sizes = { quarantineSizeKb: 1, threadLocalQuarantineSizeKb: 64 };
  const heap = createHardenedMalloc({ shared: true, threads: 2, ...sizes });
  const mine = attachHardenedMalloc(heap.handle());
  const p = mine.malloc(1000);
  mine.free(p);
  for (let i = 0; i < 9; i++) mine.free(mine.malloc(1000));
  heap.u8[p - 12] = 255; // its size
  const error = caught(() => mine.detach());
  assert.deepEqual([error.code, error.ptr], ["ERR_CORRUPTED_HEADER", p]);
  assert.throws(() => mine.malloc(1), { code: "ERR_HEAP_DESTROYED" });
  attachHardenedMalloc(heap.handle()).detach();
});
