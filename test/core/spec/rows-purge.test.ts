/** Rows 84 to 88 and 108: when free slices are purged, at which cost, and what is known of them. */
import assert from "node:assert/strict";
import * as L from "#src/core/layout/layout.js";
import type { CoreSubject } from "../../support/core.js";
import { rowInBoth } from "../../support/variants.js";

/** mimalloc's 10 ms and 1 ms, as ticks. */
const DELAY = 10;
const EXTEND = 1;
const NEVER = 0xffffffff;
const LARGE = 5 * L.SLICE_SIZE;

type Make = (delay?: number, how?: number) => CoreSubject;

function row(name: string, body: (make: Make) => void): void {
  rowInBoth(name, (fresh) => {
    body((delay = DELAY, how = L.PAGES_DECOMMIT) => {
      const s = fresh();
      s.core.purgeSet(delay, EXTEND, 10, how);
      return s;
    });
  });
}

function ticks(s: CoreSubject, count: number): void {
  for (let i = 0; i < count; i++) s.core.purgeTick();
}

/** The purges so far, as [first byte, bytes]. */
function purged(s: CoreSubject): [number, number][] {
  return s.pages.map(([, address, bytes]) => [address, bytes]);
}

function planOf(s: CoreSubject, p: number): number {
  return s.state(L.STATE_PURGE + Math.floor(p / L.SLICE_SIZE / L.CHUNK_SLICES) * 8);
}

row("84: purge delay - nothing before its last tick, then the whole free run", (make) => {
  const s = make();
  const p = s.core.malloc(LARGE);
  s.core.free(p);
  ticks(s, DELAY - 1);
  assert.deepEqual(purged(s), []);
  ticks(s, 1);
  assert.deepEqual(purged(s), [[p, LARGE]]);
  ticks(s, 100);
  assert.equal(s.pages.length, 1, "once");
  assert.equal(s.core.heapIsValid(), 1);
});

row("84: purge delay - 0 purges at once, whatever the clock", (make) => {
  const s = make(0);
  const p = s.core.malloc(LARGE);
  s.core.free(p);
  assert.deepEqual(purged(s), [[p, LARGE]]);
  s.core.purge(true);
  assert.equal(s.pages.length, 1, "nothing is left for a forced purge");
});

row("84: purge delay - never, not even by force", (make) => {
  const s = make(NEVER);
  s.core.free(s.core.malloc(LARGE));
  ticks(s, 1000);
  s.core.purge(true);
  assert.deepEqual(purged(s), []);
  assert.equal(s.state(L.S_PURGE_NEXT), 0, "nothing was planned");
});

row("84: a forced purge does not wait", (make) => {
  const s = make();
  const p = s.core.malloc(LARGE);
  s.core.free(p);
  s.core.purge(true);
  assert.deepEqual(purged(s), [[p, LARGE]]);
});

row("84: the clock is the generic path: 4096 passes are a tick", (make) => {
  const s = make(1);
  s.core.free(s.core.malloc(LARGE));
  for (let i = 0; i < L.TICK_BEATS - 2; i++) s.core.free(s.core.malloc(LARGE));
  assert.deepEqual(purged(s), []);
  for (let i = 0; i < 2 * L.TICK_BEATS; i++) s.core.free(s.core.malloc(LARGE));
  assert.ok(purged(s).length > 0);
});

row("85: purge skips reused - memory that is in use again is not purged", (make) => {
  const s = make();
  const p = s.core.malloc(LARGE);
  const q = s.core.malloc(LARGE);
  s.core.free(p);
  s.core.free(q);
  assert.equal(s.core.malloc(LARGE), p, "the same slices");
  ticks(s, 3 * DELAY);
  assert.deepEqual(purged(s), [[q, LARGE]]);
  assert.equal(s.core.heapIsValid(), 1);
});

row("86: segment purge timing - another free postpones it, up to a limit", (make) => {
  const s = make();
  const blocks = Array.from({ length: 40 }, () => s.core.malloc(LARGE));
  const [first, second, ...rest] = blocks as [number, number, ...number[]];
  s.core.free(first);
  assert.equal(planOf(s, first), DELAY);
  s.core.free(second);
  assert.equal(planOf(s, first), DELAY + EXTEND);
  for (const p of rest) s.core.free(p);
  assert.equal(planOf(s, first), 2 * DELAY, "mimalloc would wait for 50 ticks");
});

row("86: segment purge timing - reuse of waiting slices plans it again", (make) => {
  const s = make();
  const p = s.core.malloc(LARGE);
  const q = s.core.malloc(LARGE);
  s.core.free(p);
  s.core.free(q);
  ticks(s, 5);
  s.core.malloc(LARGE);
  assert.equal(planOf(s, p), 5 + DELAY);
  ticks(s, DELAY);
  assert.deepEqual(purged(s), [[q, LARGE]]);
});

row("86: each 32 MiB have a plan of their own", (make) => {
  const s = make();
  const p = s.core.malloc(LARGE);
  s.core.malloc(40 * 2 ** 20);
  const far = s.core.malloc(LARGE);
  s.core.free(p);
  ticks(s, 4);
  s.core.free(far);
  ticks(s, DELAY - 4);
  assert.deepEqual(purged(s), [[p, LARGE]]);
  ticks(s, 3);
  assert.equal(s.pages.length, 1);
  ticks(s, 1);
  assert.deepEqual(purged(s)[1], [far, LARGE]);
});

row("87: commit accounting - dirty slices are committed", (make) => {
  const s = make();
  const state = s.build === "shared" ? L.SHARED_STATE_SLICES : 1;
  assert.equal(s.state(L.S_COMMITTED), state);
  for (let round = 0; round < 50; round++) {
    const p = s.core.malloc(LARGE);
    assert.equal(s.state(L.S_COMMITTED), state + 5);
    s.core.free(p);
    s.core.purge(true);
    assert.equal(s.state(L.S_COMMITTED), state, "mimalloc drifts here");
  }
  assert.equal(s.state(L.S_COMMITTED_PEAK), state + 5);
  assert.equal(s.state(L.S_PURGES), 50);
  assert.equal(s.state(L.S_PURGED), 250);
});

row("87: a reset changes only its own counters", (make) => {
  const s = make(DELAY, L.PAGES_RESET);
  const p = s.core.malloc(LARGE);
  const before = s.state(L.S_COMMITTED);
  s.core.free(p);
  s.core.purge(true);
  assert.deepEqual([s.state(L.S_RESETS), s.state(L.S_RESET), s.state(L.S_PURGES)], [1, 5, 0]);
  assert.equal(s.state(L.S_COMMITTED), before);
});

row("87: a refusal by the host changes no counter", (make) => {
  const s = make();
  s.pageCall = () => false;
  s.core.free(s.core.malloc(LARGE));
  const before = s.state(L.S_COMMITTED);
  s.core.purge(true);
  assert.equal(s.state(L.S_COMMITTED), before);
  assert.equal(s.state(L.S_PURGES), 0);
});

/** The host zeroes nothing here, so the memory shows whether calloc wrote. */
row("108: zero knowledge - a purged range is known to be zero, a reset one is not", (make) => {
  for (const how of [L.PAGES_DECOMMIT, L.PAGES_RESET]) {
    const s = make(DELAY, how);
    const p = s.core.malloc(LARGE);
    s.core.free(p);
    s.core.purge(true);
    s.bytes().fill(0x77, p, p + LARGE);
    assert.equal(s.core.zalloc(LARGE), p);
    const expected = how === L.PAGES_DECOMMIT ? 0x77 : 0;
    assert.ok(
      s
        .bytes()
        .subarray(p, p + LARGE)
        .every((byte) => byte === expected),
      `how ${how}`,
    );
    s.core.free(p);
  }
});

row("108: zero knowledge - a run of which a part was purged is written", (make) => {
  const s = make();
  const p = s.core.malloc(LARGE);
  const q = s.core.malloc(LARGE);
  s.core.free(p);
  s.core.purge(true);
  s.bytes().fill(0x77, p, q + LARGE);
  s.core.free(q);
  assert.equal(s.core.zalloc(2 * LARGE), p);
  assert.ok(
    s
      .bytes()
      .subarray(p, p + 2 * LARGE)
      .every((byte) => byte === 0),
  );
});
