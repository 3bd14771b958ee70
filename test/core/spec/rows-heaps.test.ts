/** Rows 68-74 of the checklist: sub-heaps, in both builds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as L from "#src/core/layout/layout.js";
import { type AreaVisitor, blocksVisit, type HeapArea } from "#src/heap/stats/walk.js";
import {
  type Build,
  backEnds,
  builds,
  type CoreSubject,
  coreAttached,
  coreSubject,
} from "../../support/core.js";
import { Random, seedOf } from "../../support/random.js";
import { HIGH_BASE } from "../../support/variants.js";

/** As row() of variants.ts, for these builds. */
function row(name: string, body: (s: CoreSubject) => void, of: Build[] = builds): void {
  for (const build of of) {
    for (const backEnd of backEnds) {
      for (const base of [0, HIGH_BASE]) {
        const place = base === 0 ? `${backEnd}, ${build}` : `${backEnd}, ${build}, above 2 GiB`;
        test(`${place}: row ${name}`, () => body(coreSubject(backEnd, 4096, base, build)));
      }
    }
  }
}

/** Returns what `call` returns while the core works on a heap. */
function within<T>(s: CoreSubject, heap: number, call: () => T): T {
  const was = s.core.heapBind(heap);
  const result = call();
  assert.equal(s.core.heapBind(was), heap);
  return result;
}

/** Sizes for every kind of page: small, medium, large. */
const kinds = [1, 48, 1000, 5000, 9000, 30000, L.MEDIUM_MAX, 100_000, 400_000];

function blocksOf(s: CoreSubject, heap: number, rounds: number): number[] {
  return within(s, heap, () => {
    const blocks = [];
    for (let i = 0; i < rounds; i++) for (const size of kinds) blocks.push(s.core.malloc(size));
    assert.ok(blocks.every((p) => p !== 0));
    return blocks;
  });
}

/** Checks each heap, and with it the state. */
function assertValid(s: CoreSubject, ...heaps: number[]): void {
  for (const heap of [s.core.heapBacking(), ...heaps]) {
    assert.equal(
      within(s, heap, () => s.core.heapIsValid()),
      1,
      `heap ${heap.toString(16)}`,
    );
  }
}

function assertEmpty(s: CoreSubject): void {
  s.core.heapCollect(true);
  assertValid(s);
  assert.equal(s.state(L.S_PAGE_SLICES), 0);
}

function pagesOf(s: CoreSubject): number {
  return s.state(L.S_PAGE_SLICES);
}

row("68: heap_new/destroy - all its pages are free, others keep theirs", (s) => {
  const before = blocksOf(s, s.core.heapBacking(), 2);
  const slices = pagesOf(s);
  const heap = s.core.heapNew();
  const other = s.core.heapNew();
  assert.ok(heap !== 0 && other !== 0 && heap !== other && heap !== s.core.heapBacking());
  const gone = blocksOf(s, heap, 40);
  const kept = blocksOf(s, other, 3);
  assertValid(s, heap, other);
  s.core.heapDestroy(heap);
  assertValid(s, other);
  for (const p of gone) assert.notEqual(s.core.heapOf(p), heap);
  for (const p of before) assert.equal(s.core.heapOf(p), s.core.heapBacking());
  for (const p of kept) assert.equal(s.core.heapOf(p), other);
  s.core.heapDestroy(other);
  assert.equal(pagesOf(s), slices);
  for (const p of before) s.core.free(p);
  assertEmpty(s);
});

row("69: heap_delete - blocks stay valid and move to the backing heap", (s) => {
  const heap = s.core.heapNew();
  const blocks = blocksOf(s, heap, 30);
  blocks.forEach((p, i) => {
    s.bytes().fill(i & 255, p, p + s.core.usableSize(p));
  });
  for (const p of blocks.filter((_, i) => i % 3 === 0)) s.core.free(p);
  s.core.heapDelete(heap);
  assertValid(s);
  const left = blocks.filter((_, i) => i % 3 !== 0);
  for (const p of left) {
    assert.equal(s.core.heapOf(p), s.core.heapBacking());
    const bytes = s.bytes().subarray(p, p + s.core.usableSize(p));
    assert.ok(bytes.every((byte) => byte === (blocks.indexOf(p) & 255)));
  }
  const more = blocksOf(s, s.core.heapBacking(), 30);
  assert.equal(new Set([...left, ...more]).size, left.length + more.length);
  for (const p of [...left, ...more]) s.core.free(p);
  assertEmpty(s);
});

row("69: heap_delete - full pages move to the full queue", (s) => {
  const heap = s.core.heapNew();
  const blocks = within(s, heap, () => Array.from({ length: 5000 }, () => s.core.malloc(64)));
  s.core.heapDelete(heap);
  assertValid(s);
  for (const p of blocks) s.core.free(p);
  assertEmpty(s);
});

row("70: delete or destroy of the bound heap - the backing heap is bound", (s) => {
  for (const end of [s.core.heapDelete, s.core.heapDestroy]) {
    const heap = s.core.heapNew();
    assert.equal(s.core.heapBind(heap), s.core.heapBacking());
    assert.equal(s.core.heapBound(), heap);
    const p = s.core.malloc(100);
    assert.equal(s.core.heapOf(p), heap);
    end(heap);
    assert.equal(s.core.heapBound(), s.core.heapBacking());
    assert.equal(s.core.heapOf(s.core.malloc(100)), s.core.heapBacking());
  }
  assertValid(s);
});

row("71: destroy and delete of the backing heap, of 0, of one that has ended - nothing", (s) => {
  const blocks = blocksOf(s, s.core.heapBacking(), 2);
  const heap = s.core.heapNew();
  s.core.heapDestroy(heap);
  for (const end of [s.core.heapDelete, s.core.heapDestroy]) {
    for (const id of [s.core.heapBacking(), 0, heap]) end(id);
  }
  for (const p of blocks) assert.equal(s.core.freeChecked(p), 0);
  assertEmpty(s);
});

row("72: contains_block - of blocks, freed blocks and addresses inside; no other heap", (s) => {
  const heap = s.core.heapNew();
  const blocks = blocksOf(s, heap, 1);
  const keep = blocksOf(s, heap, 1);
  for (const p of blocks) {
    const end = p + s.core.usableSize(p) - 1;
    for (const at of [p, p + 1, end]) assert.equal(s.core.heapOf(at), heap);
  }
  s.core.free(blocks[1] as number);
  assert.equal(s.core.heapOf(blocks[1] as number), heap);
  for (const p of [0, 8, heap, s.base, 0xfffffff0]) assert.equal(s.core.heapOf(p), 0);
  assert.equal(keep.length, kinds.length);
});

/** Every area, with the blocks that the walk visits after it. */
function walk(s: CoreSubject, heap: number): { areas: HeapArea[]; blocks: [number, number][] } {
  const areas: HeapArea[] = [];
  const blocks: [number, number][] = [];
  const visit = (p: number, size: number) => void blocks.push([p, size]);
  const owner = (id: number) => id === heap;
  assert.ok(
    blocksVisit(s.words(), s.base, visit, { owner, areas: (area) => void areas.push(area) }),
  );
  return { areas, blocks };
}

row("73: visit_blocks - one area, then 8 of 10 blocks of 48 in order; false stops", (s) => {
  const heap = s.core.heapNew();
  blocksOf(s, s.core.heapBacking(), 1);
  assert.deepEqual(walk(s, heap), { areas: [], blocks: [] });
  const made = within(s, heap, () => Array.from({ length: 10 }, () => s.core.malloc(48)));
  for (const i of [3, 7]) s.core.free(made[i] as number);
  const { areas, blocks } = walk(s, heap);
  const [area] = areas as [HeapArea];
  assert.equal(areas.length, 1);
  assert.deepEqual([area.used, area.blockSize, area.reserved], [8, 48, 1362 * 48]);
  assert.equal(area.start, made[0]);
  assert.equal(area.committed % 48, 0);
  const live = made.filter((_, i) => i !== 3 && i !== 7);
  assert.deepEqual(
    blocks,
    live.map((p) => [p, 48]),
  );
  let calls = 0;
  const owner = (id: number) => id === heap;
  const stop: AreaVisitor = () => ++calls < 0;
  assert.equal(
    blocksVisit(s.words(), s.base, () => stop(area), { owner }),
    false,
  );
  assert.equal(
    blocksVisit(s.words(), s.base, () => true, { owner, areas: stop }),
    false,
  );
  assert.equal(calls, 2);
  assert.equal(blocksVisit(s.words(), s.base, undefined, { owner }), true);
});

row("74: visit - medium and large areas have their blocks' sizes", (s) => {
  const heap = s.core.heapNew();
  const [a, b, c] = within(s, heap, () => [9000, 30000, 400_000].map((n) => s.core.malloc(n)));
  const { areas, blocks } = walk(s, heap);
  assert.deepEqual(
    areas.map((area) => [area.blockSize, area.used, area.reserved]),
    [
      [0, 2, 131072],
      [458752, 1, 458752],
    ],
  );
  const sizes = new Map(blocks);
  assert.deepEqual([sizes.get(a as number), sizes.get(b as number)], [10240, 30720]);
  assert.equal(sizes.get(c as number), 458752);
});

row("free and realloc of a block of any heap, from any heap", (s) => {
  const heaps = [s.core.heapBacking(), s.core.heapNew(), s.core.heapNew()];
  for (const from of heaps) {
    for (const to of heaps) {
      const blocks = blocksOf(s, from, 12);
      within(s, to, () => {
        for (const p of blocks.slice(0, blocks.length / 2)) assert.equal(s.core.freeChecked(p), 0);
      });
      assertValid(s, ...heaps);
      const moved = within(s, to, () => {
        return blocks
          .slice(blocks.length / 2)
          .map((p, i) => s.core.realloc(p, 16 + 3001 * (i % 40)));
      });
      assertValid(s, ...heaps);
      assert.ok(moved.every((p) => [from, to].includes(s.core.heapOf(p))));
      for (const p of moved) s.core.free(p);
    }
  }
  for (const heap of heaps.slice(1)) s.core.heapDelete(heap);
  assertEmpty(s);
});

row("33 heaps live at once; the areas of those that end serve the next", (s) => {
  const heaps = Array.from({ length: 33 }, () => s.core.heapNew());
  assert.equal(new Set(heaps).size, 33);
  for (const heap of heaps) within(s, heap, () => assert.notEqual(s.core.malloc(100), 0));
  const tables = s.state(L.S_TABLE_SLICES);
  for (const heap of heaps) s.core.heapDestroy(heap);
  const again = Array.from({ length: 33 }, () => s.core.heapNew());
  for (const heap of again) within(s, heap, () => assert.equal(s.core.heapIsValid(), 1));
  assert.equal(s.state(L.S_TABLE_SLICES), tables);
  for (const heap of again) s.core.heapDelete(heap);
  assertEmpty(s);
});

test("wasm and js: no memory for the area of a heap - 0, and the heap goes on", () => {
  for (const backEnd of backEnds) {
    const s = coreSubject(backEnd, 4);
    const blocks: number[] = [];
    for (let p = s.core.malloc(60_000); p !== 0; p = s.core.malloc(60_000)) blocks.push(p);
    while (s.core.malloc(8) !== 0);
    assert.equal(s.core.heapNew(), 0);
    for (const p of blocks) s.core.free(p);
    s.core.heapCollect(true);
    assert.notEqual(s.core.heapNew(), 0);
    assertValid(s);
  }
});

row(
  "a thread's sub-heaps: at most 124 areas; detaching gives up their pages too",
  (s) => {
    const other = coreAttached(s.backEnd, s);
    const heaps: number[] = [];
    for (let id = other.core.heapNew(); id !== 0; id = other.core.heapNew()) heaps.push(id);
    assert.equal(heaps.length, 122);
    assert.equal(s.core.threadCount(), 2);
    const blocks = blocksOf(other, heaps[5] as number, 5);
    other.core.heapBind(heaps[7] as number);
    other.core.threadDetach();
    assert.equal(s.core.threadCount(), 1);
    for (const p of blocks) s.core.free(p);
    assertEmpty(s);
    assert.notEqual(s.core.heapNew(), 0);
  },
  ["shared"],
);

row(
  "a thread that was terminated: all its heaps are recovered",
  (s) => {
    const other = coreAttached(s.backEnd, s);
    const heaps = [other.core.heapNew(), other.core.heapNew()];
    const blocks = heaps.flatMap((heap) => blocksOf(other, heap, 3));
    other.core.heapBind(heaps[1] as number);
    assert.equal(s.core.threadRecover(other.core.threadBound()), 1);
    assert.equal(s.core.threadRecover(other.core.threadBound()), 0);
    assert.equal(s.core.threadCount(), 1);
    for (const p of blocks) s.core.free(p);
    assertEmpty(s);
  },
  ["shared"],
);

row(
  "another thread's frees in a heap's pages, also while the heap is deleted",
  (s) => {
    const other = coreAttached(s.backEnd, s);
    const heap = s.core.heapNew();
    const blocks = blocksOf(s, heap, 20);
    blocks.forEach((p, i) => {
      if (i % 2 === 0) other.core.free(p);
    });
    const page = s.core.pageOf(blocks[0] as number);
    assert.notEqual(s.word(page, L.D_THREAD), 0);
    s.core.heapDelete(heap);
    blocks.forEach((p, i) => {
      if (i % 2 === 1) other.core.free(p);
    });
    s.core.remoteTakeAll();
    other.core.threadDetach();
    assertEmpty(s);
  },
  ["shared"],
);

row(
  "a sub-heap adopts no pages: destroying it frees no block of other threads",
  (s) => {
    const other = coreAttached(s.backEnd, s);
    const strangers = blocksOf(other, other.core.heapBacking(), 10);
    other.core.threadDetach();
    const heap = s.core.heapNew();
    s.core.heapBind(heap);
    blocksOf(s, heap, 10);
    s.core.heapCollect(true);
    for (const p of strangers.slice(0, 20)) s.core.free(p);
    for (const p of strangers.slice(20)) {
      const owner = (s.word(s.core.pageOf(p), L.D_OWNER) & ~L.FLAGS) >>> 0;
      assert.ok(owner === L.OWNER_ABANDONED || owner === s.core.heapBacking());
    }
    s.core.abandonedAdoptAll();
    s.core.heapDestroy(heap);
    for (const p of strangers.slice(20)) assert.equal(s.core.freeChecked(p), 0);
    assertEmpty(s);
  },
  ["shared"],
);

/**
 * Random work on several heaps that are made and ended: every block keeps its bytes and its heap.
 */
function heapsExercise(s: CoreSubject, random: Random, steps: number): number[] {
  const trace: number[] = [];
  const heaps = [s.core.heapBacking()];
  let live: { p: number; size: number; heap: number; mark: number }[] = [];
  const check = ({ p, size, mark }: (typeof live)[number]) => {
    const bytes = s.bytes();
    for (const at of [0, size >>> 1, size - 1]) assert.equal(bytes[p + at], mark);
  };
  for (let step = 0; step < steps; step++) {
    const heap = heaps[random.below(heaps.length)] as number;
    const at = random.below(live.length || 1);
    const block = live[at];
    const kind = random.below(100);
    if (kind < 3 && heaps.length < 40) {
      const made = s.core.heapNew();
      if (made !== 0) heaps.push(made);
      trace.push(made);
    } else if (kind < 5 && heap !== heaps[0]) {
      heaps.splice(heaps.indexOf(heap), 1);
      if (kind === 3) {
        s.core.heapDestroy(heap);
        live = live.filter((each) => each.heap !== heap);
      } else {
        s.core.heapDelete(heap);
        for (const each of live) if (each.heap === heap) each.heap = heaps[0] as number;
      }
      assertValid(s, ...heaps.slice(1));
    } else if (kind < 8) {
      s.core.heapBind(heap);
    } else if (kind < 55 || !block) {
      const size = random.skewed(1, 200_000);
      const p = within(s, heap, () => s.core.malloc(size));
      trace.push(p);
      if (p === 0) continue;
      const mark = random.below(256);
      s.bytes().fill(mark, p, p + size);
      live.push({ p, size, heap, mark });
    } else if (kind < 70) {
      check(block);
      const size = random.skewed(1, 200_000);
      const p = within(s, heap, () => s.core.realloc(block.p, size));
      trace.push(p);
      if (p === 0) continue;
      const moved = { p, size, heap: s.core.heapOf(p), mark: block.mark };
      assert.ok(moved.heap === heap || (p === block.p && moved.heap === block.heap));
      assert.equal(s.bytes()[p], block.mark);
      s.bytes().fill(block.mark, p, p + size);
      live[at] = moved;
    } else {
      check(block);
      assert.equal(s.core.heapOf(block.p), block.heap);
      assert.equal(
        within(s, heap, () => s.core.freeChecked(block.p)),
        0,
      );
      live.splice(at, 1);
    }
  }
  for (const block of live) {
    check(block);
    s.core.free(block.p);
  }
  for (const heap of heaps.slice(1)) s.core.heapDelete(heap);
  assertEmpty(s);
  return trace;
}

for (const build of builds) {
  for (const seed of [seedOf(40), seedOf(40) + 1]) {
    test(`${build}: random work on many heaps, seed ${seed}; both back ends return the same`, () => {
      const traces = backEnds.map((backEnd) => {
        return heapsExercise(coreSubject(backEnd, 1500, 0, build), new Random(seed), 6000);
      });
      assert.deepEqual(traces[0], traces[1]);
      assert.ok((traces[0] as number[]).length > 1000);
    });
  }
}
