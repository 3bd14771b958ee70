/** Rows 75 to 81, 84 and 92: arenas and budgets of heaps. */
import assert from "node:assert/strict";
import * as L from "#src/core/layout/layout.js";
import type { CoreSubject } from "../../support/core.js";
import { assertValid } from "../../support/pages.js";
import { rowInBoth } from "../../support/variants.js";

/** First byte of an arena, and its bytes. */
function areaOf(s: CoreSubject, id: number): [number, number] {
  const record = s.state(L.S_ARENAS) + L.ARENA_RECORDS + ((id - 1) << L.ARENA_RECORD_SHIFT);
  return [s.word(record, L.A_FIRST) * L.SLICE_SIZE, s.word(record, L.A_COUNT) * L.SLICE_SIZE];
}

function within(s: CoreSubject, id: number, p: number): boolean {
  const [from, bytes] = areaOf(s, id);
  return p >= from && p < from + bytes;
}

/** A new heap with an arena or a budget. */
function heapFor(s: CoreSubject, arena: number, most = 0): number {
  const heap = s.core.heapNew();
  assert.notEqual(heap, 0);
  assert.equal(s.core.heapLimit(heap, most, arena), 1);
  return heap;
}

function on<T>(s: CoreSubject, heap: number, act: () => T): T {
  const was = s.core.heapBind(heap);
  try {
    return act();
  } finally {
    s.core.heapBind(was);
  }
}

rowInBoth(
  "75: heap in arena - exclusive: all its memory, then 0 and error 12 until a free",
  (make) => {
    const s = make();
    const id = s.core.arenaMake(4, L.ARENA_EXCLUSIVE, L.NODE_ANY);
    assert.equal(id, 1);
    const heap = heapFor(s, id);
    const held = on(s, heap, () => [1, 2, 3].map(() => s.core.malloc(2 * L.SLICE_SIZE)));
    assert.equal(held.pop(), 0);
    assert.equal(s.errors.at(-1)?.[0], 12);
    assert.ok(held.every((p) => within(s, id, p)));
    assert.notEqual(s.core.malloc(L.SLICE_SIZE), 0, "other heaps go on");
    assertValid(s);
    for (const p of held) s.core.free(p);
    on(s, heap, () => s.core.heapCollect(true));
    const again = on(s, heap, () => s.core.malloc(4 * L.SLICE_SIZE));
    assert.equal(again, areaOf(s, id)[0], "all of it");
    assertValid(s);
  },
);

rowInBoth("75: heap in arena - other heaps do not allocate from an exclusive one", (make) => {
  const s = make(60);
  const id = s.core.arenaMake(8, L.ARENA_EXCLUSIVE, L.NODE_ANY);
  const heap = heapFor(s, id);
  const blocks: number[] = [];
  for (const size of [3 * L.SLICE_SIZE, 5000, 20000]) {
    for (let p = s.core.malloc(size); p !== 0; p = s.core.malloc(size)) blocks.push(p);
  }
  assert.ok(blocks.length > 12, `${blocks.length} blocks`);
  assert.ok(blocks.every((p) => !within(s, id, p)));
  assert.equal(
    on(s, heap, () => s.core.malloc(8 * L.SLICE_SIZE)),
    areaOf(s, id)[0],
  );
});

rowInBoth(
  "75: heap in arena - one that is not exclusive serves all heaps before the memory grows",
  (make) => {
    const s = make();
    const id = s.core.arenaMake(6, 0, L.NODE_ANY);
    const heap = heapFor(s, id);
    const p = on(s, heap, () => s.core.malloc(2 * L.SLICE_SIZE));
    assert.ok(within(s, id, p));
    const { growths } = s;
    const q = s.core.malloc(4 * L.SLICE_SIZE);
    assert.ok(within(s, id, q));
    assert.equal(s.growths, growths);
    assert.ok(!within(s, id, s.core.malloc(L.SLICE_SIZE + 1)), "it is full");
    assert.equal(
      on(s, heap, () => s.core.malloc(100)),
      0,
      "and the heap has nothing else",
    );
    s.core.free(q);
    assert.ok(
      within(
        s,
        id,
        on(s, heap, () => s.core.malloc(100)),
      ),
    );
    assertValid(s);
  },
);

rowInBoth("75: blocks of a heap in an arena grow and shrink in place inside it only", (make) => {
  const s = make();
  const id = s.core.arenaMake(6, L.ARENA_EXCLUSIVE, L.NODE_ANY);
  const [from] = areaOf(s, id);
  const heap = heapFor(s, id);
  on(s, heap, () => {
    const p = s.core.malloc(2 * L.SLICE_SIZE);
    assert.equal(s.core.realloc(p, 6 * L.SLICE_SIZE), p);
    assert.equal(p, from);
    assert.equal(s.core.realloc(p, 7 * L.SLICE_SIZE), 0, "behind its end are other slices");
    assert.equal(s.core.realloc(p, 2 * L.SLICE_SIZE), p);
    const q = s.core.memalign(4 * L.SLICE_SIZE, 2 * L.SLICE_SIZE);
    assert.ok(q === 0 || (within(s, id, q) && q % (4 * L.SLICE_SIZE) === 0));
  });
  assertValid(s);
});

rowInBoth("76: reserve - an area that begins with a slice; another id has none", (make) => {
  const s = make();
  const own = s.state(L.S_OWN_SLICES);
  const id = s.core.arenaMake(100, 0, L.NODE_ANY);
  const [from, bytes] = areaOf(s, id);
  assert.equal(bytes, 100 * L.SLICE_SIZE);
  assert.equal(from % L.SLICE_SIZE, 0);
  assert.ok(s.state(L.S_OWN_SLICES) >= own + 100);
  assert.equal(s.state(L.S_PAGE_SLICES), 0, "it is not used yet");
  assert.equal(s.core.heapLimit(s.core.heapNew(), 0, 2), 0, "no arena 2");
  assertValid(s);
});

rowInBoth("76: reserve - out of memory changes nothing", (make) => {
  const s = make(20);
  assert.equal(s.core.arenaMake(100, 0, L.NODE_ANY), 0);
  assertValid(s);
  assert.equal(s.core.arenaMake(8, 0, L.NODE_ANY), 1);
});

rowInBoth("77: manage - memory that other code grew becomes an arena, with its tables", (make) => {
  for (const gap of [10, 700]) {
    const s = make();
    s.core.malloc(100);
    const first = s.memory.grow(gap);
    const id = s.core.arenaGive(first, gap, L.ARENA_EXCLUSIVE, L.NODE_ANY);
    assert.deepEqual(areaOf(s, id), [first * L.SLICE_SIZE, gap * L.SLICE_SIZE]);
    assertValid(s);
    const heap = heapFor(s, id);
    const p = on(s, heap, () => s.core.malloc(gap * L.SLICE_SIZE));
    assert.equal(p, first * L.SLICE_SIZE);
    assert.equal(s.core.usableSize(p + 12345), gap * L.SLICE_SIZE - 12345);
    s.core.free(p);
    const q = s.core.malloc(3 * L.SLICE_SIZE);
    assert.ok(!within(s, id, q), "growth goes on behind it");
    assertValid(s);
  }
});

rowInBoth(
  "77: manage - given memory counts as written unless the flag says that it is zero",
  (make) => {
    for (const flags of [0, L.ARENA_ZEROED]) {
      const s = make();
      s.core.malloc(100);
      const first = s.memory.grow(4);
      const p = first * L.SLICE_SIZE;
      s.bytes().fill(0x55, p, p + 4 * L.SLICE_SIZE);
      const heap = heapFor(s, s.core.arenaGive(first, 4, flags, L.NODE_ANY));
      assert.equal(
        on(s, heap, () => s.core.zalloc(4 * L.SLICE_SIZE)),
        p,
      );
      const expected = flags === 0 ? 0 : 0x55;
      assert.ok(
        s
          .bytes()
          .subarray(p, p + 4 * L.SLICE_SIZE)
          .every((byte) => byte === expected),
      );
    }
  },
);

rowInBoth("78: arena claim - 28, 10, 2, 2, 3 slices are at 0, 28, 38, 40, 42", (make) => {
  const s = make();
  const id = s.core.arenaMake(100, L.ARENA_EXCLUSIVE, L.NODE_ANY);
  const first = areaOf(s, id)[0] / L.SLICE_SIZE;
  const heap = heapFor(s, id);
  const claims = on(s, heap, () => [28, 10, 2, 2, 3].map((n) => s.core.slicesAlloc(n, 1) - first));
  assert.deepEqual(claims, [0, 28, 38, 40, 42]);
  on(s, heap, () => {
    assert.equal(s.core.slicesAlloc(56, 1), 0, "55 are left");
    assert.equal(s.core.slicesAlloc(55, 1), first + 45);
    s.core.slicesFree(heap, first + 28, 10);
    assert.equal(s.core.slicesAlloc(11, 1), 0);
    assert.equal(s.core.slicesAlloc(10, 1), first + 28);
  });
});

rowInBoth("80: arena double free - error 11, and the counters stay right", (make) => {
  const s = make();
  const id = s.core.arenaMake(8, L.ARENA_EXCLUSIVE, L.NODE_ANY);
  const slice = on(s, heapFor(s, id), () => s.core.slicesAlloc(3, 1));
  s.core.slicesFree(0, slice, 3);
  assert.deepEqual(s.errors, []);
  s.core.slicesFree(0, slice, 3);
  assert.deepEqual(s.errors, [[11, 3 * L.SLICE_SIZE]]);
  assertValid(s);
});

rowInBoth("81: tail bits - a fifth claim fails although the word has 32 bits", (make) => {
  const s = make();
  const id = s.core.arenaMake(4, L.ARENA_EXCLUSIVE, L.NODE_ANY);
  const next = s.core.arenaMake(4, L.ARENA_EXCLUSIVE, L.NODE_ANY);
  assert.equal(areaOf(s, next)[0], areaOf(s, id)[0] + 4 * L.SLICE_SIZE, "neighbours in the bitmap");
  on(s, heapFor(s, id), () => {
    const claims = Array.from({ length: 5 }, () => s.core.slicesAlloc(1, 1));
    assert.equal(claims.filter((slice) => slice !== 0).length, 4);
    assert.equal(claims[4], 0);
  });
  on(s, heapFor(s, next), () =>
    assert.equal(s.core.slicesAlloc(4, 1) * L.SLICE_SIZE, areaOf(s, next)[0]),
  );
});

rowInBoth("82: at most 112 arenas; then none, and nothing is lost", (make) => {
  const s = make();
  for (let i = 1; i <= L.ARENAS_MAX; i++) assert.equal(s.core.arenaMake(1, 0, L.NODE_ANY), i);
  assert.equal(s.core.arenaMake(1, 0, L.NODE_ANY), 0);
  assertValid(s);
  const first = s.memory.grow(2);
  assert.equal(s.core.arenaGive(first, 2, 0, L.NODE_ANY), 0);
  assertValid(s);
  const blocks = Array.from({ length: L.ARENAS_MAX }, () => s.core.malloc(L.SLICE_SIZE));
  assert.ok(blocks.every((p) => p !== 0));
  for (const p of blocks) s.core.free(p);
  assertValid(s);
});

rowInBoth("84: purge delay - an arena waits ten times as long; a pinned one for ever", (make) => {
  const s = make();
  s.core.purgeSet(10, 1, 10, L.PAGES_DECOMMIT);
  const ids = [0, L.ARENA_PINNED].map((flag) => {
    return s.core.arenaMake(8, L.ARENA_EXCLUSIVE | flag, L.NODE_ANY);
  });
  const blocks = ids.map((id) => on(s, heapFor(s, id), () => s.core.malloc(5 * L.SLICE_SIZE)));
  for (const p of blocks) s.core.free(p);
  for (let i = 0; i < 99; i++) s.core.purgeTick();
  assert.equal(s.state(L.S_PURGED), 0, "nothing at +50, nor at +99");
  s.core.purgeTick();
  assert.deepEqual(s.pages, [[L.PAGES_DECOMMIT, blocks[0], 5 * L.SLICE_SIZE]]);
  s.core.purge(true);
  assert.equal(s.pages.length, 1, "the other one is pinned");
  assertValid(s);
});

rowInBoth("85: purge skips reused - in an arena too", (make) => {
  const s = make();
  s.core.purgeSet(10, 1, 10, L.PAGES_DECOMMIT);
  const heap = heapFor(s, s.core.arenaMake(8, L.ARENA_EXCLUSIVE, L.NODE_ANY));
  const [p, q] = on(s, heap, () => [
    s.core.malloc(3 * L.SLICE_SIZE),
    s.core.malloc(3 * L.SLICE_SIZE),
  ]);
  s.core.free(p!);
  s.core.free(q!);
  assert.equal(
    on(s, heap, () => s.core.malloc(3 * L.SLICE_SIZE)),
    p,
  );
  for (let i = 0; i < 400; i++) s.core.purgeTick();
  assert.deepEqual(s.pages, [[L.PAGES_DECOMMIT, q, 3 * L.SLICE_SIZE]]);
});

rowInBoth("92: numa pass order - the own node's arena first, then the other", (make) => {
  const s = make();
  const ids = [0, 1].map((node) => s.core.arenaMake(4, 0, node));
  s.core.numaBind(1);
  const blocks = Array.from({ length: 4 }, () => s.core.malloc(2 * L.SLICE_SIZE));
  const places = blocks.map((p) => ids.find((id) => within(s, id, p)));
  assert.deepEqual(places, [2, 2, 1, 1]);
});

rowInBoth("92: numa pass order - an arena of no node is every thread's first choice", (make) => {
  const s = make();
  const ids = [3, L.NODE_ANY].map((node) => s.core.arenaMake(2, 0, node));
  s.core.numaBind(1);
  assert.ok(within(s, ids[1]!, s.core.malloc(2 * L.SLICE_SIZE)));
  s.core.numaBind(L.NODE_ANY);
  assert.ok(within(s, ids[0]!, s.core.malloc(2 * L.SLICE_SIZE)));
});

rowInBoth("maximum: exactly so many slices, then error 12 until a free", (make) => {
  const s = make();
  const heap = heapFor(s, 0, 5);
  const blocks = on(s, heap, () => [131072, 131072, 100, 65536].map((n) => s.core.malloc(n)));
  assert.equal(blocks.pop(), 0);
  assert.equal(s.state(L.S_PAGE_SLICES), 5);
  assert.deepEqual(s.errors, [[12, 65536]]);
  assert.notEqual(
    on(s, heap, () => s.core.malloc(100)),
    0,
    "a block of an existing page needs no new slice",
  );
  s.core.free(blocks[0]!);
  assert.notEqual(
    on(s, heap, () => s.core.malloc(65536)),
    0,
    "a block freed by another heap",
  );
  assert.equal(
    on(s, heap, () => s.core.malloc(131072)),
    0,
  );
  assert.notEqual(s.core.malloc(L.SLICE_SIZE), 0, "the others have no budget");
  assertValid(s);
});

rowInBoth("maximum: growth in place counts for the heap that owns the block", (make) => {
  const s = make();
  const heap = heapFor(s, 0, 8);
  const p = on(s, heap, () => s.core.malloc(2 * L.SLICE_SIZE));
  assert.equal(
    on(s, heap, () => s.core.realloc(p, 8 * L.SLICE_SIZE)),
    p,
  );
  assert.equal(
    on(s, heap, () => s.core.malloc(100)),
    0,
  );
  assert.equal(
    on(s, heap, () => s.core.realloc(p, 9 * L.SLICE_SIZE)),
    0,
    "neither here nor elsewhere",
  );
  assert.equal(
    on(s, heap, () => s.core.realloc(p, 3 * L.SLICE_SIZE)),
    p,
  );
  assert.notEqual(
    on(s, heap, () => s.core.malloc(100)),
    0,
    "shrinking frees budget",
  );
  const q = s.core.realloc(p, 40 * L.SLICE_SIZE);
  assert.notEqual(q, p, "a heap without a budget cannot spend another's");
  assert.notEqual(
    on(s, heap, () => s.core.malloc(6 * L.SLICE_SIZE)),
    0,
  );
  assertValid(s);
});

rowInBoth(
  "90: aligned over-allocation - the block is aligned, head and tail are free again",
  (make) => {
    const s = make();
    s.core.malloc(100);
    const state = s.state(L.S_PAGE_SLICES);
    for (const alignment of [2, 16, 64]) {
      const p = s.core.memalign(alignment * L.SLICE_SIZE, 3 * L.SLICE_SIZE);
      assert.equal(p % (alignment * L.SLICE_SIZE), 0);
      assert.equal(s.state(L.S_PAGE_SLICES), state + 3);
      assert.equal(s.state(L.S_COMMITTED) - s.state(L.S_TABLE_SLICES) < 40, true, "and untouched");
      s.core.free(p);
      assertValid(s);
    }
  },
);

rowInBoth(
  "93: is_in_heap_region - blocks and addresses inside, also in arenas; nothing else",
  (make) => {
    const s = make();
    const id = s.core.arenaMake(8, L.ARENA_EXCLUSIVE, L.NODE_ANY);
    const [from] = areaOf(s, id);
    const heap = heapFor(s, id);
    const small = s.core.malloc(100);
    const far = s.core.malloc(100 * L.SLICE_SIZE);
    const kept = on(s, heap, () => s.core.malloc(3 * L.SLICE_SIZE));
    const inside = [small, far, far + 99 * L.SLICE_SIZE + 5, kept, kept + 2 * L.SLICE_SIZE];
    for (const p of inside) assert.equal(s.core.contains(p), 1, `${p}`);
    const outside = [
      0,
      s.base + 8,
      from + 7 * L.SLICE_SIZE,
      s.memory.buffer.byteLength,
      0xfffffff8,
    ];
    for (const p of outside) assert.equal(s.core.contains(p), 0, `${p}`);
  },
);
