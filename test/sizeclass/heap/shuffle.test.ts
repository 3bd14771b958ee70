/** The order of shuffled chunks: random, unless a seed says otherwise. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createSizeClassHeap } from "#src/sizeclass/index.js";

function order(options: { seed?: number; shuffle?: boolean; shared?: boolean }): string {
  const heap = createSizeClassHeap({ shuffle: true, ...options });
  return Array.from({ length: 64 }, () => heap.malloc(64)).join();
}

for (const shared of [false, true]) {
  test(`${shared ? "shared" : "one thread"}: without a seed each heap has an order of its own`, () => {
    const orders = new Set(Array.from({ length: 4 }, () => order({ shared })));
    assert.equal(orders.size, 4);
    assert.equal(order({ shared, seed: 5 }), order({ shared, seed: 5 }));
    assert.notEqual(order({ shared, seed: 5 }), order({ shared, seed: 6 }));
    assert.equal(order({ shared, shuffle: false }), order({ shared, shuffle: false }));
  });
}
