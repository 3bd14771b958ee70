/** Samples: allocations that are offered to the host (src/core/pages/sample.ts). */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as L from "#src/core/layout/layout.js";
import { backEnds, builds, type CoreSubject, coreSubject } from "../../support/core.js";
import { assertValid } from "../../support/pages.js";
import { Random, seedOf } from "../../support/random.js";

const BYTES = 2 ** 20;
const SLOT = 16_384;

/** A core whose host serves every sample it is offered from memory of its own, one slot each. */
class Guarded {
  readonly s: CoreSubject;
  readonly memory: number;
  /** Live blocks in that memory, and their sizes. */
  readonly live = new Map<number, number>();
  /** The sizes and alignments that were offered. */
  readonly offers: [number, number][] = [];
  readonly misused: number[] = [];
  /** Whether offers are accepted. */
  serves = true;
  #next = 0;

  constructor(s: CoreSubject) {
    this.s = s;
    this.memory = s.core.malloc(BYTES);
    s.words()[(s.core.pageOf(this.memory) + L.D_GUARDS) >>> 2] = 1;
    s.errorCall = (code, value) => {
      if (code === L.SAMPLE_DUE) s.core.sampleResult(this.#take(Math.max(value, 1)));
      else if (code === L.GUARD_FREED)
        assert.ok(this.live.delete(value), `${value} is not a block`);
      else if (code === L.GUARD_SIZE) s.core.sampleResult(this.#sizeAt(value));
      else if (code === L.GUARD_MISUSED) this.misused.push(value);
      else return false;
      return true;
    };
  }

  /** Blocks end at the ends of slots, with bytes 0xa5 before and behind them. */
  #take(size: number): number {
    const { core } = this.s;
    this.offers.push([size, core.sampleAlignment()]);
    const space = Math.ceil(size / 16) * 16;
    if (!this.serves || space > SLOT || core.sampleAlignment() > 16) return 0;
    for (let tries = 0; tries < BYTES / SLOT; tries++) {
      this.#next = (this.#next + SLOT) % BYTES;
      const end = this.memory + this.#next + SLOT;
      if ([...this.live.keys()].some((p) => p >= end - SLOT && p < end)) continue;
      this.s.bytes().fill(0xa5, end - SLOT, end);
      this.live.set(end - space, size);
      return end - space;
    }
    return 0;
  }

  #sizeAt(p: number): number {
    const size = this.live.get(p);
    return size ?? 0;
  }

  begin(how: number, every: number, seed: number): void {
    this.s.core.sampleBegin(every, seed);
    this.s.core.observeBind(how);
  }

  has(p: number): boolean {
    return p >= this.memory && p < this.memory + BYTES;
  }
}

function each(name: string, body: (make: () => Guarded) => void): void {
  for (const build of builds) {
    for (const backEnd of backEnds) {
      const place = `${backEnd}${build === "shared" ? ", shared" : ""}`;
      test(`${place}: ${name}`, () =>
        body(() => new Guarded(coreSubject(backEnd, 4096, 0, build))));
    }
  }
}

type Pattern = (s: CoreSubject, count: number, random: Random) => void;

const pairs = (next: (s: CoreSubject, step: number, random: Random) => number): Pattern => {
  return (s, count, random) => {
    for (let step = 0; step < count; step++) s.core.free(next(s, step, random));
  };
};

const patterns: Record<string, Pattern> = {
  "pairs of one size": pairs((s) => s.core.malloc(40)),
  "pairs of many sizes": pairs((s, step) => s.core.malloc(8 + ((step * 56) % 1000))),
  "pairs of any size": pairs((s, _, random) => s.core.malloc(random.skewed(1, 60_000))),
  "pairs of zeros": pairs((s, step) => s.core.calloc(1, 8 + ((step * 56) % 5000))),
  "pairs with an alignment": pairs((s, step) => s.core.memalign(16 << (step % 4), 100)),
  "blocks that all stay": (s, count) => {
    const ptrs = Array.from({ length: count }, () => s.core.malloc(24));
    for (const p of ptrs) s.core.free(p);
  },
  "a stack": (s, count, random) => {
    const ptrs: number[] = [];
    for (let left = count; left > 0; ) {
      for (let up = random.below(60); up > 0 && left > 0; up--, left--)
        ptrs.push(s.core.malloc(72));
      for (let down = random.below(60); down > 0; down--) s.core.free(ptrs.pop() ?? 0);
    }
    for (const p of ptrs) s.core.free(p);
  },
  "blocks that replace each other": (s, count, random) => {
    const ptrs = new Array(500).fill(0);
    for (let step = 0; step < count; step++) {
      const at = random.below(ptrs.length);
      s.core.free(ptrs[at]);
      ptrs[at] = s.core.malloc(random.skewed(8, 3000));
    }
    for (const p of ptrs) s.core.free(p);
  },
};

for (const [name, pattern] of Object.entries(patterns)) {
  each(`the number of offers is right: ${name}`, (make) => {
    const guarded = make();
    const count = 250_000;
    guarded.begin(L.OBSERVE_SOME, 512, 12345);
    pattern(guarded.s, count, new Random(1));
    const offers = guarded.offers.length;
    // The mean is 488; gaps are uniform, so in two of three runs it is off by less than 13.
    assert.ok(offers > 415 && offers < 560, `${offers} of ${count}`);
    assert.equal(guarded.live.size, 0);
    guarded.s.core.observeBind(0);
    assertValid(guarded.s);
  });
}

each("any allocation of a small program may be the sample", (make) => {
  const guarded = make();
  const { core } = guarded.s;
  guarded.serves = false;
  const seen = new Array(40).fill(0);
  for (let seed = 1; seed <= 3000; seed++) {
    guarded.begin(L.OBSERVE_SOME, 64, Math.imul(seed, 0x9e3779b1) >>> 0);
    const ptrs = seen.map((_, index) => {
      const before = guarded.offers.length;
      const p = core.malloc(300);
      if (guarded.offers.length > before) seen[index] += 1;
      return p;
    });
    for (const p of ptrs) core.free(p);
    core.heapCollect(true);
  }
  // The first allocation is the sample in 24 of 3 000 runs on average, later ones in some more.
  for (const [index, count] of seen.entries()) {
    assert.ok(count > 5 && count < 110, `allocation ${index}: ${count} times`);
  }
});

each("with OBSERVE_EACH the n-th allocation is offered, by exact count", (make) => {
  const guarded = make();
  guarded.begin(L.OBSERVE_EACH, 1, 7);
  for (const size of [1, 100, 1000, 5000, 10_000]) {
    const p = guarded.s.core.malloc(size);
    assert.ok(guarded.has(p), `${size} bytes`);
    guarded.s.core.free(p);
  }
  assert.deepEqual(
    guarded.offers.map(([size]) => size),
    [1, 100, 1000, 5000, 10_000],
  );
});

each(
  "a block of the host has the requested size, is zero if wanted, and writes stay inside it",
  (make) => {
    const guarded = make();
    const { s } = guarded;
    const { core } = s;
    guarded.begin(L.OBSERVE_EACH, 1, 7);
    for (const size of [0, 1, 5, 20, 100, 500, 3000, 8000]) {
      const beside = (p: number): number | undefined => {
        const slot = guarded.memory + Math.floor((p - guarded.memory) / SLOT) * SLOT;
        const bytes = s.bytes();
        for (let at = slot; at < slot + SLOT; at++) {
          if ((at < p || at >= p + Math.max(size, 1)) && bytes[at] !== 0xa5) return at - p;
        }
        return undefined;
      };
      const zero = core.calloc(1, size);
      assert.ok(guarded.has(zero));
      assert.ok(
        s
          .bytes()
          .subarray(zero, zero + size)
          .every((byte) => byte === 0),
      );
      assert.equal(beside(zero), undefined, `calloc ${size}`);
      assert.equal(core.usableSize(zero), Math.max(size, 1));
      assert.equal(core.pointerCheck(zero), L.PTR_BLOCK);
      core.free(zero);
      guarded.serves = false;
      const block = core.malloc(2 * size + 100);
      s.bytes().fill(7, block, block + 2 * size + 100);
      guarded.serves = true;
      const moved = core.realloc(block, size);
      assert.ok(guarded.has(moved), `realloc ${size}`);
      assert.ok(
        s
          .bytes()
          .subarray(moved, moved + size)
          .every((byte) => byte === 7),
      );
      assert.equal(beside(moved), undefined, `realloc ${size}`);
      const grown = core.rezalloc(moved, 3 * size + 50);
      const bytes = s.bytes().subarray(grown, grown + 3 * size + 50);
      assert.ok(bytes.subarray(0, size).every((byte) => byte === 7));
      core.free(grown);
    }
    assert.equal(guarded.live.size, 0);
    assertValid(s);
  },
);

each("an alignment is offered, and is kept if the host has no block for it", (make) => {
  const guarded = make();
  const { core } = guarded.s;
  guarded.begin(L.OBSERVE_EACH, 1, 7);
  for (const alignment of [8, 16, 64, 4096, 65536, 131072]) {
    const p = core.memalign(alignment, 100);
    assert.equal(p % alignment, 0);
    // Alignments above a slice are not offered.
    if (alignment <= 65536) assert.deepEqual(guarded.offers.pop(), [100, alignment]);
    core.free(p);
  }
  assert.deepEqual(guarded.offers, []);
  const p = core.memalignAt(64, 100, 8);
  assert.equal((p + 8) % 64, 0);
  assert.deepEqual(guarded.offers, [], "a block with an offset is not offered");
  core.free(p);
});

each("resizing a pointer that is not a live block is reported", (make) => {
  const guarded = make();
  const { core } = guarded.s;
  guarded.begin(L.OBSERVE_EACH, 1, 7);
  const p = core.malloc(50);
  core.free(p);
  assert.equal(core.realloc(p, 80), 0);
  assert.deepEqual(guarded.misused, [p]);
});

each("sub-heaps get no block of the host", (make) => {
  const guarded = make();
  const { core } = guarded.s;
  guarded.begin(L.OBSERVE_EACH, 1, 7);
  const heap = core.heapNew();
  const was = core.heapBind(heap);
  for (let i = 0; i < 100; i++) assert.ok(!guarded.has(core.malloc(64)));
  core.heapBind(was);
  core.heapDestroy(heap);
  assert.deepEqual(guarded.offers, []);
});

each("random operations: contents stay, and the counters are right at any moment", (make) => {
  const seed = seedOf(9210);
  const random = new Random(seed);
  const guarded = make();
  const { s } = guarded;
  const { core } = s;
  const live: { p: number; size: number; fill: number }[] = [];
  const whole = ({ p, size, fill }: (typeof live)[0]) =>
    s
      .bytes()
      .subarray(p, p + size)
      .every((byte) => byte === fill);
  for (let step = 0; step < 12_000; step++) {
    const index = random.below(live.length);
    const block = live[index];
    const fill = step & 255;
    const size = random.skewed(1, random.chance(95) ? 1500 : 40_000);
    if (block && random.chance(46)) {
      assert.ok(whole(block), `seed ${seed}, step ${step}`);
      core.free(block.p);
      live.splice(index, 1);
    } else if (block && random.chance(20)) {
      const p = core.realloc(block.p, size);
      assert.ok(whole({ ...block, p, size: Math.min(size, block.size) }));
      s.bytes().fill(fill, p, p + size);
      live[index] = { p, size, fill };
    } else {
      const p = random.chance(30) ? core.calloc(1, size) : core.malloc(size);
      assert.ok(!live.some((other) => other.p === p), "a block is returned twice");
      s.bytes().fill(fill, p, p + size);
      live.push({ p, size, fill });
    }
    if (step % 97 === 0) {
      if (random.chance(20)) core.heapCollect(random.chance(50));
      guarded.serves = random.chance(80);
      const how = [0, L.OBSERVE_SOME, L.OBSERVE_SOME, L.OBSERVE_SOME][random.below(4)] as number;
      guarded.begin(how, random.between(2, 200), 1 + random.below(2 ** 31));
      assertValid(s);
    }
  }
  core.observeBind(0);
  for (const { p } of live) core.free(p);
  assert.equal(guarded.live.size, 0);
  assert.ok(guarded.offers.length > 50, `${guarded.offers.length} offers`);
  assertValid(s);
});
