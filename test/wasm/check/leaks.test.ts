/** The leak scan on memories made by hand: chains, rings, interior pointers, registers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { leaksFind } from "#src/wasm/check/leaks.js";
import type { Block } from "#src/wasm/shadow/block-table.js";
import { Random, seedOf } from "../../support/random.js";

const ROOTS = [{ from: 0, to: 64 }];

function block(id: number, size = 16): Block {
  const none = { allocator: 0, allocated: 0, freer: 0, freed: 0 };
  return { id, ptr: 1024 + id * 64, size, live: true, ...none };
}

/** Blocks 0 to count - 1; `links` are [where, to]: a block's number or r for a root. */
function scan(count: number, links: readonly [number | "r", number][], registers: number[] = []) {
  const words = new Uint32Array(4096);
  const blocks = Array.from({ length: count }, (_, id) => block(id));
  let root = 0;
  const used = new Map<number, number>();
  for (const [from, to] of links) {
    if (from === "r") words[root++] = block(to).ptr;
    else {
      const slot = used.get(from) ?? 0;
      used.set(from, slot + 1);
      words[block(from).ptr / 4 + slot] = block(to).ptr;
    }
  }
  const found = leaksFind(words, blocks, ROOTS, registers);
  const ids = (list: readonly Block[]) => list.map((each) => each.id);
  return { lost: ids(found.lost), indirect: ids(found.indirect), reachable: ids(found.reachable) };
}

test("what roots and registers lead to is reachable, through any chain", () => {
  const links: [number | "r", number][] = [
    ["r", 0],
    [0, 1],
    [1, 2],
  ];
  assert.deepEqual(scan(4, links, [block(3).ptr]), {
    lost: [],
    indirect: [],
    reachable: [0, 1, 2, 3],
  });
});

test("the first block of a lost chain is lost, others are lost indirectly", () => {
  assert.deepEqual(
    scan(3, [
      [2, 0],
      [0, 1],
    ]),
    { lost: [2], indirect: [0, 1], reachable: [] },
  );
});

test("of a lost ring, one block is lost and the others indirectly", () => {
  assert.deepEqual(
    scan(3, [
      [0, 1],
      [1, 2],
      [2, 0],
    ]),
    { lost: [0], indirect: [1, 2], reachable: [] },
  );
});

test("a pointer into a block counts, one behind its end does not", () => {
  assert.deepEqual(scan(2, [], [block(0).ptr + 15, block(1).ptr + 16]), {
    lost: [1],
    indirect: [],
    reachable: [0],
  });
});

test("random graphs: the scan agrees with a simple search", () => {
  const random = new Random(seedOf(21));
  for (let round = 0; round < 300; round++) {
    const count = random.between(1, 12);
    const links: [number | "r", number][] = [];
    const used = new Map<number, number>();
    for (let i = random.below(16); i > 0; i--) {
      const from = random.chance(20) ? "r" : random.below(count);
      if (from !== "r" && (used.get(from) ?? 0) >= 4) continue;
      if (from !== "r") used.set(from, (used.get(from) ?? 0) + 1);
      links.push([from, random.below(count)]);
    }
    const found = scan(count, links);
    const reached = new Set<number>();
    for (let step = 0; step <= count; step++) {
      for (const [from, to] of links) if (from === "r" || reached.has(from)) reached.add(to);
    }
    assert.deepEqual(new Set(found.reachable), reached, `round ${round}, seed ${random.seed}`);
    assert.equal(found.lost.length + found.indirect.length + reached.size, count);
    // Every indirect block is pointed to by another lost one.
    for (const id of found.indirect) {
      assert.ok(links.some(([from, to]) => to === id && from !== "r" && !reached.has(from)));
    }
  }
});
