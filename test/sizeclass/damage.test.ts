/** Mistakes of callers and failures of hosts at bad moments: what they must leave whole. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sizeClass } from "#dist/sizeclass/index.js";

const backends = ["wasm", "js"] as const;

for (const backend of backends) {
  test(`${backend}: after a double free was found all counts are right`, () => {
    const { primary } = sizeClass({ backend });
    const [p, q, ...rest] = primary.getFrom(5, 64) as [number, number, ...number[]];
    primary.returnTo(5, [p, ...rest, p, p]);
    assert.throws(() => primary.releaseAll(), { code: "ERR_DOUBLE_FREE", ptr: p });
    assert.ok(primary.isValid());
    const [figures] = primary.stats();
    assert.equal(figures?.allocations, (figures?.frees as number) + 1);
    primary.returnTo(5, [q]);
    assert.ok(primary.isValid());
    primary.releaseAll();
  });
}
