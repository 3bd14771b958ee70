/** The tracing collector: what can be reached stays, what cannot is freed, also in steps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import { arena, currentRegion, enter, kingsley, limit, setGroundHeap } from "#src/layers/index.js";
import { Collector, type Handle, kind } from "#src/managed/index.js";
import { Random, seedOf } from "../support/random.js";

const heap = createHeap();
setGroundHeap(heap);

const pair = kind("pair", { pointers: [0, 4] });
const any = kind("any", { pointers: "any" });

test("collect frees what cannot be reached from a handle, cycles included", () => {
  using gc = new Collector({ every: 0 });
  const [a, b, c] = Array.from({ length: 3 }, () => gc.alloc(8, pair));
  gc.write(a!, 0, b!);
  gc.write(b!, 0, a!);
  gc.write(c!, 4, c!);
  const root = gc.handle(a!);
  assert.equal(gc.collect(), 1);
  assert.deepEqual(gc.stats(), { blocks: 2, bytes: 16, collections: 1, freed: 1 });
  root.destroy();
  assert.equal(gc.collect(), 2);
  assert.equal(heap.stats().blocks, 0);
});

test("words of conservative blocks keep the blocks that they may point into", () => {
  using gc = new Collector({ every: 0 });
  const target = gc.alloc(100);
  const holder = gc.alloc(16);
  using root = gc.handle(holder);
  currentRegion().u32[root.ptr / 4 + 3] = target + 60;
  assert.equal(gc.collect(), 0);
  currentRegion().u32[root.ptr / 4 + 3] = target + 100;
  assert.equal(gc.collect(), 1, "an address past the end is not in the block");
});

test("a block of a kind without pointers keeps no other block", () => {
  using gc = new Collector({ every: 0 });
  const bytes = kind("bytes");
  using root = gc.handle(gc.alloc(16, bytes));
  const lost = gc.alloc(16, bytes);
  currentRegion().u32[root.ptr / 4] = lost;
  assert.equal(gc.collect(), 1);
});

test("finalizers run once, before the block is freed, and at destroy for all others", () => {
  const seen: number[] = [];
  const noted = kind("noted", { finalize: (ptr) => seen.push(currentRegion().u32[ptr / 4]!) });
  enter(arena, (region) => {
    const gc = new Collector({ every: 0 });
    const make = (value: number) => {
      const ptr = gc.alloc(8, noted);
      region.u32[ptr / 4] = value;
    };
    for (let i = 1; i <= 3; i++) make(i);
    gc.collect();
    assert.deepEqual(seen.splice(0).sort(), [1, 2, 3]);
    make(4);
    gc.collect();
    gc.handle(gc.alloc(8, noted));
    make(5);
    assert.deepEqual(seen, [4]);
  });
  assert.deepEqual(seen.sort(), [0, 4, 5]);
  assert.equal(heap.stats().blocks, 0);
});

test("allocation collects in steps, and memory stays bounded", () => {
  enter(kingsley, (region) => {
    const gc = new Collector({ every: 10000 });
    const root = gc.handle(gc.alloc(8, pair));
    for (let i = 0; i < 20000; i++) gc.write(root.ptr, 0, gc.alloc(32, pair));
    assert.ok(gc.stats().collections > 20);
    assert.ok(region.stats().peak < 200000, `peak ${region.stats().peak}`);
  });
});

test("allocation collects before it throws that memory is out", () => {
  enter(limit(4000), () => {
    const gc = new Collector({ every: 0 });
    for (let i = 0; i < 500; i++) gc.alloc(64);
    assert.ok(gc.stats().collections > 5);
    const roots: Handle[] = [];
    const hold = () => {
      for (;;) roots.push(gc.handle(gc.alloc(64)));
    };
    assert.throws(hold, { name: "HeapError", code: "ERR_OUT_OF_MEMORY" });
  });
});

test("pointers that move between steps are not lost", () => {
  using gc = new Collector({ every: 0 });
  // A block that was read already gets the only pointer to a block that was not reached.
  const [early, late, hidden] = Array.from({ length: 3 }, () => gc.alloc(8, pair));
  const roots = [gc.handle(late!), gc.handle(early!)];
  gc.write(late!, 0, hidden!);
  gc.step(1);
  gc.write(early!, 0, hidden!);
  gc.write(late!, 0, 0);
  while (!gc.step(1));
  assert.equal(gc.stats().blocks, 3);
  const moved = gc.alloc(8, any);
  roots.push(gc.handle(moved));
  gc.step(1);
  currentRegion().u32[moved / 4] = hidden!; // no barrier for blocks of kind any
  gc.write(early!, 0, 0);
  while (!gc.step(1));
  gc.collect();
  assert.equal(gc.stats().blocks, 4);
});

/** A model of the collector's blocks as JavaScript objects: what can be reached there must live. */
interface Node {
  ptr: number;
  readonly exact: boolean;
  readonly to: (Node | undefined)[];
  readonly mark: number;
}

test("random graphs in random steps: what can be reached lives, all else is freed", (t) => {
  const seed = seedOf(61);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const gc = new Collector({ every: 3000 });
  const node = kind("node", { pointers: [0, 4, 8] });
  const roots = Array.from({ length: 8 }, () => ({
    handle: gc.handle(0),
    node: undefined as Node | undefined,
  }));

  function reachable(): Set<Node> {
    const seen = new Set<Node>();
    const waiting = roots.map((root) => root.node);
    while (waiting.length > 0) {
      const next = waiting.pop();
      if (!next || seen.has(next)) continue;
      seen.add(next);
      waiting.push(...next.to);
    }
    return seen;
  }

  function check(): number {
    const seen = reachable();
    for (const { ptr, to, mark } of seen) {
      const words = currentRegion().u32.subarray(ptr / 4, ptr / 4 + 4);
      assert.deepEqual([...words], [...to.map((target) => target?.ptr ?? 0), mark]);
    }
    return seen.size;
  }

  function point(from: Node, field: number, to: Node | undefined): void {
    from.to[field] = to;
    if (from.exact) gc.write(from.ptr, 4 * field, to?.ptr ?? 0);
    else currentRegion().u32[from.ptr / 4 + field] = to?.ptr ?? 0;
  }

  for (let i = 0; i < 30000; i++) {
    const live = i % 50 === 0 ? [...reachable()] : [...nearby(roots)];
    const root = roots[random.below(roots.length)]!;
    const pick = () => live[random.below(live.length)];
    const action = random.below(100);
    if (action < 50) {
      const exact = random.chance(70);
      const mark = random.u32() | 1;
      const made: Node = { ptr: 0, exact, to: [undefined, undefined, undefined], mark: mark >>> 0 };
      made.ptr = gc.alloc(16, exact ? node : any);
      currentRegion().u32[made.ptr / 4 + 3] = made.mark;
      if (root.node) point(made, 0, root.node);
      root.node = made;
      root.handle.ptr = made.ptr;
    } else if (action < 80) {
      const from = pick();
      if (from) point(from, random.below(3), random.chance(30) ? undefined : pick());
    } else if (action < 90) {
      root.node = random.chance(50) ? undefined : pick();
      root.handle.ptr = root.node?.ptr ?? 0;
    } else gc.step(random.between(1, 20));
    if (i % 500 === 0) check();
  }
  gc.collect();
  gc.collect();
  const left = check();
  assert.ok(gc.stats().collections > 50 && gc.stats().freed > 5000);
  // A word that looks like an address may keep a block.
  const { blocks } = gc.stats();
  assert.ok(blocks >= left && blocks <= left + 50, `${blocks} blocks, ${left} reachable`);
  gc.destroy();
  assert.equal(heap.stats().blocks, 0);
});

function nearby(roots: readonly { node: Node | undefined }[]): Set<Node> {
  const found = new Set<Node>();
  for (const { node } of roots) {
    if (!node) continue;
    found.add(node);
    for (const to of node.to) if (to) found.add(to);
  }
  return found;
}

test("wrong pointers and calls after the end throw", () => {
  const gc = new Collector({ every: 0 });
  const ptr = gc.alloc(8, pair);
  const root = gc.handle(ptr);
  const foreign = { name: "ManagedError", code: "ERR_NOT_MANAGED" };
  assert.throws(() => gc.handle(ptr + 16), foreign);
  assert.throws(() => gc.write(ptr, 0, 48), foreign);
  assert.throws(() => gc.write(48, 0, ptr), foreign);
  assert.throws(() => {
    root.ptr = 48;
  }, foreign);
  using other = new Collector({ every: 0 });
  assert.throws(() => other.handle(ptr), foreign);
  root.destroy();
  const released = { code: "ERR_HANDLE_RELEASED", message: "the handle was destroyed" };
  assert.throws(() => root.ptr, released);
  gc.destroy();
  gc.destroy();
  const ended = { code: "ERR_COLLECTOR_ENDED", message: "the collector has ended" };
  for (const call of [() => gc.alloc(1), () => gc.step(), () => gc.handle(0)]) {
    assert.throws(call, ended);
  }
});
