/** Heaps whose own words were written over: every walk ends, and says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as L from "#src/core/layout/layout.js";
import type { Heap, SubHeap } from "#src/heap/index.js";
import { anyHeap } from "../support/any-heap.js";
import { thrownText } from "../support/thrown.js";

const kinds = [
  { backend: "wasm", maximum: 2 ** 25 },
  { backend: "js", maximum: 2 ** 25 },
  { backend: "wasm", shared: true, maximum: 2 ** 25 },
  { backend: "js", shared: true, maximum: 2 ** 23 },
  { backend: "wasm", hardened: {}, maximum: 2 ** 25 },
] as const;

const sizes = [8, 32, 100, 1000, 5000, 20_000, 70_000, 300_000];

/** A generator of numbers below n. */
function random(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

function filled(kind: (typeof kinds)[number], next: (n: number) => number): [Heap, SubHeap] {
  const heap = anyHeap(kind);
  const sub = heap.newHeap();
  const blocks: number[] = [];
  for (let i = 0; i < 300; i++) {
    blocks.push((next(4) === 0 ? sub : heap).malloc(sizes[next(sizes.length)] as number));
  }
  for (const ptr of blocks) if (next(3) === 0) heap.free(ptr);
  return [heap, sub];
}

/** Writes over words of the state: most of them over those that lead somewhere. */
function damage(heap: Heap, shared: boolean, next: (n: number) => number): void {
  const words = heap.u32;
  const state = heap.source.start;
  const bytes = shared ? L.SHARED_STATE_SLICES * L.SLICE_SIZE : L.SLICE_SIZE;
  const ranges = [
    [0, bytes],
    [0, 1024],
    [L.STATE_TABLE, 0x2000],
    [shared ? L.STATE_AREAS + L.AREA_FIRST * L.AREA_SIZE : L.STATE_HEAP, 3 * L.AREA_SIZE],
  ] as const;
  for (let left = 1 + next(30); left > 0; left--) {
    const [from, size] = ranges[next(ranges.length)] as readonly [number, number];
    const at = (state + from + 4 * next(size / 4)) >>> 2;
    const old = words[at] as number;
    const values = [next(2 ** 32), 2 ** 32 - 1, 0, next(2 ** 20), state + 4 * next(2 ** 16)];
    const neighbour = words[at + 1 + next(16)] as number;
    words[at] = [...values, old ^ (1 << next(32)), neighbour][next(7)] as number;
  }
}

function walks(heap: Heap, sub: SubHeap): Record<string, () => unknown> {
  return {
    visitBlocks: () => heap.visitBlocks(() => {}, { areas: () => {} }),
    "visitBlocks of a sub-heap": () => sub.visitBlocks(() => {}),
    stats: () => heap.stats(),
    heldBytes: () => sub.heldBytes,
    arenasPicture: () => heap.arenasPicture(),
    collect: () => heap.collect(),
    "collect of a sub-heap": () => sub.collect(),
    "collect, forced": () => heap.collect(true),
    purge: () => heap.purge(true),
    "destroy of a sub-heap": () => sub.destroy(),
    destroy: () => heap.destroy(),
  };
}

for (const kind of kinds) {
  const shared = "shared" in kind;
  const name = `${kind.backend}${shared ? ", shared" : ""}${"hardened" in kind ? ", hardened" : ""}`;
  test(`${name}: every walk over a damaged heap ends, or says that it is damaged`, () => {
    const seed = Number(process.env.TERRANE_SEED ?? 1);
    let refused = 0;
    for (let round = 0; round < 40; round++) {
      const next = random(seed * 1000 + round);
      const [heap, sub] = filled(kind, next);
      damage(heap, shared, next);
      for (const [walk, run] of Object.entries(walks(heap, sub))) {
        const text = thrownText(run);
        const good = text === "nothing thrown" || text.startsWith("HeapError: the heap ");
        assert.ok(good, `${walk} of TERRANE_SEED=${seed}, round ${round}: ${text}`);
        if (text.startsWith("HeapError: the heap is damaged")) refused += 1;
      }
    }
    assert.ok(refused > 40, `damage is found: ${refused} times`);
  });
}

/** Each word that leads a walk, and a value that would lead it in a circle or astray. */
const leads: Record<string, (heap: Heap, sub: SubHeap) => [word: number, value: number]> = {
  "the queue of a sub-heap": (heap, sub) => {
    const page = heap.u32[(sub.id + L.H_QUEUES + (first(heap, sub) << 4)) >>> 2] as number;
    return [page + L.D_PREV, page];
  },
  "a circle of pages": (heap, sub) => {
    const page = heap.u32[(sub.id + L.H_QUEUES + (first(heap, sub) << 4)) >>> 2] as number;
    return [page + L.D_NEXT, page];
  },
  "the number of slices": (heap) => [heap.source.start + L.S_TOP, 0xffffffff],
};

/** The first bin of a sub-heap with pages. */
function first(heap: Heap, sub: SubHeap): number {
  for (let bin = 1; ; bin++) {
    if (heap.u32[(sub.id + L.H_QUEUES + (bin << L.QUEUE_SHIFT)) >>> 2]) return bin;
  }
}

for (const [name, lead] of Object.entries(leads)) {
  test(`damaged: ${name}`, () => {
    for (const kind of kinds) {
      const [heap, sub] = filled(kind, random(7));
      sub.malloc(100);
      const [at, value] = lead(heap, sub);
      heap.u32[at >>> 2] = value;
      assert.match(
        thrownText(() => sub.destroy()),
        /^HeapError: the heap is damaged at 0x[0-9a-f]+: .*debug of "terrane\/debug".*finds who wrote$/,
      );
    }
  });
}

test("calls that look a pointer up in a damaged table say so", () => {
  for (const kind of kinds) {
    const heap = anyHeap(kind);
    const sub = heap.newHeap();
    const ptr = heap.malloc(100);
    const calls: Record<string, () => unknown> = {
      free: () => heap.free(ptr),
      freeSize: () => heap.freeSize(ptr, 8),
      cfree: () => heap.cfree(ptr),
      realloc: () => heap.realloc(ptr, 8),
      usableSize: () => heap.usableSize(ptr),
      contains: () => heap.contains(ptr),
      reallocarr: () => heap.reallocarr(ptr, 1, 1),
      posixMemalign: () => heap.posixMemalign(ptr, 16, 1),
      dupenvS: () => heap.dupenvS(ptr, 0, ptr),
      "contains of a sub-heap": () => sub.contains(ptr),
      "checkOwned of a sub-heap": () => sub.checkOwned(ptr),
      "free of a sub-heap": () => sub.free(ptr),
      newHeap: () => heap.newHeap({ maximum: 2 ** 20 }),
      setDefaultHeap: () => heap.setDefaultHeap(sub),
      reserveMemory: () => heap.reserveMemory(2 ** 17),
      manageMemory: () => heap.manageMemory(heap.buffer.byteLength - 2 ** 16, 2 ** 16),
      purgeSettings: () => heap.purgeSettings({ purgeDelay: 0 }),
    };
    const at = (heap.source.start + L.S_CHUNKS) >>> 2;
    heap.u32.fill(0xfffff000, at, at + 8);
    for (const [call, run] of Object.entries(calls)) {
      const text = thrownText(run);
      assert.doesNotMatch(
        text,
        /^(?!HeapError: |RangeError: 0x|nothing thrown)/,
        `${call}: ${text}`,
      );
    }
  }
});

test("a shared heap detaches from a damaged memory, and says so once", () => {
  for (const backend of ["wasm", "js"] as const) {
    const heap = anyHeap({ backend, shared: true, maximum: 2 ** 23 });
    heap.malloc(8);
    heap.u32[(heap.source.start + L.S_TOP) >>> 2] = 0xfffffff;
    assert.match(
      thrownText(() => heap.detach()),
      /^HeapError: the heap is damaged/,
    );
    assert.equal(
      thrownText(() => heap.detach()),
      "nothing thrown",
    );
    assert.match(
      thrownText(() => heap.malloc(1)),
      /this thread has detached/,
    );
  }
});
