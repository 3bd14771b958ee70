/**
 * Out of memory at every possible growth: the n-th growth is refused, for n = 1, 2, 3 … until the
 * scenario does not reach it. The call returns 0, blocks stay intact, the counters are right, and
 * the heap works on.
 */

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import * as L from "#src/core/layout/layout.js";
import type { BackEnd } from "#src/heap/calls/contract.js";
import { backEnds, type CoreSubject, coreSubject } from "../support/core.js";
import { profiles, Shadow, step } from "../support/model.js";
import { assertEmpty, assertValid } from "../support/pages.js";
import { Random, seedOf } from "../support/random.js";

const MIB = 1 << 20;

/** Each allocates again and again, so that growth can be refused in every state. */
const scenarios: Record<string, (shadow: Shadow) => void> = {
  small(shadow) {
    for (let i = 0; i < 900; i++) shadow.malloc([16, 40, 300, 1000, 5000][i % 5]!);
  },
  medium(shadow) {
    for (let i = 0; i < 120; i++) shadow.malloc([17000, 30000, 50000, 65536][i % 4]!);
  },
  large(shadow) {
    for (let i = 1; i < 25; i++) shadow.malloc(65537 + i * 50000);
  },
  "chunk tables"(shadow) {
    for (let i = 0; i < 6; i++) shadow.malloc(30 * MIB + i * 5 * MIB);
  },
  aligned(shadow) {
    for (let i = 0; i < 60; i++) {
      shadow.memalign(1 << (6 + (i % 12)), 100 + ((i * 7919) % 90000));
    }
  },
  calloc(shadow) {
    for (let i = 0; i < 60; i++) shadow.calloc(1 + (i % 7), (i * 3571) % 40000);
  },
  realloc(shadow) {
    for (let i = 0; i < 12; i++) shadow.malloc(50);
    for (let i = 0; shadow.live.length > 0 && i < 150; i++) {
      shadow.realloc(i % shadow.live.length, 10 + ((i * i * 131) % 300000));
    }
  },
  "alloc and free"(shadow) {
    const random = new Random(5);
    for (let i = 0; i < 1500; i++) step(shadow, profiles[1]!, random);
  },
};

function shadowOf(s: CoreSubject): Shadow {
  return new Shadow({ ...s.core, bytes: s.bytes });
}

/** Every request that was refused was reported once, as ENOMEM. */
function assertReported(s: CoreSubject, shadow: Shadow): void {
  assert.equal(s.errors.length, shadow.refused, "one error for each refusal");
  assert.ok(s.errors.every(([code]) => code === L.ENOMEM));
}

/**
 * Frees every other block and allocates as much again, while growth is still refused. Skips blocks
 * that need more space to be found than they give back.
 */
function goOnAfterFrees(s: CoreSubject, shadow: Shadow): void {
  let again = 0;
  for (let i = shadow.live.length - 1; i >= 0; i -= 2) {
    const { alignment, usable, size } = shadow.live[i]!;
    const unaligned = alignment <= 16 && s.core.goodSize(usable) === usable;
    if (alignment > L.SLICE_SIZE || (alignment <= 16 && !unaligned)) continue;
    shadow.free(i);
    const p = unaligned ? shadow.malloc(usable) : shadow.memalign(alignment, size);
    assert.notEqual(p, 0, `${usable} bytes that were just freed`);
    again++;
  }
  assert.ok(again > 0 || shadow.live.length < 2);
  assertValid(s);
}

/**
 * One run in which the growths from n on (to `last`) are refused. Returns whether n was reached.
 */
function runRefused(backEnd: BackEnd, name: string, n: number, last: number) {
  const s = coreSubject(backEnd, 8192);
  s.refuseFrom = n;
  s.refuseTo = last;
  const shadow = shadowOf(s);
  scenarios[name]!(shadow);
  assertValid(s);
  shadow.checkAll();
  assertReported(s, shadow);
  return { s, shadow, refusing: s.growths >= n };
}

/** Growth is allowed again: the whole scenario works, and everything can be freed. */
function recover(s: CoreSubject, shadow: Shadow, name: string): void {
  s.refuseFrom = Number.POSITIVE_INFINITY;
  const before = shadow.refused;
  scenarios[name]!(shadow);
  assert.equal(shadow.refused, before, "nothing is refused once growth is allowed");
  shadow.checkAll();
  shadow.freeAll();
  assertEmpty(s);
}

function everyGrowth(t: TestContext, backEnd: BackEnd, name: string): void {
  let refused = 0;
  for (let n = 1; ; n++) {
    const { s, shadow, refusing } = runRefused(backEnd, name, n, Number.POSITIVE_INFINITY);
    refused += shadow.refused;
    if (refusing) goOnAfterFrees(s, shadow);
    recover(s, shadow, name);
    if (refusing) continue;
    assert.ok(n > 3 && refused > 0, `${n - 1} growths, ${refused} refusals`);
    t.diagnostic(`${n - 1} growths, ${refused} refusals`);
    return;
  }
}

/** The heap requests growth twice, so a single refusal never shows. */
function everySingleGrowth(backEnd: BackEnd, name: string): void {
  for (let n = 1; ; n++) {
    const { s, shadow, refusing } = runRefused(backEnd, name, n, n);
    assert.equal(shadow.refused, 0, `refusal ${n} on its own`);
    shadow.freeAll();
    assertEmpty(s);
    if (!refusing) return;
  }
}

for (const backEnd of backEnds) {
  for (const name of Object.keys(scenarios)) {
    test(`${backEnd}: out of memory from the n-th growth on, ${name}`, (t) => {
      everyGrowth(t, backEnd, name);
    });
    test(`${backEnd}: out of memory at the n-th growth only, ${name}`, () => {
      everySingleGrowth(backEnd, name);
    });
  }

  test(`${backEnd}: out of memory returns blocks of other classes' empty pages`, () => {
    const s = coreSubject(backEnd, 1 + L.MEDIUM_SLICES);
    s.core.free(s.core.malloc(L.MEDIUM_MAX));
    assert.equal(s.state(L.S_FREE_SLICES), 0, "the empty page is kept");
    const q = s.core.malloc(L.MEDIUM_SLICES * L.SLICE_SIZE);
    assert.notEqual(q, 0, "until its slices are needed");
    assert.deepEqual(s.errors, []);
    s.core.free(q);
    assertEmpty(s);
  });

  test(`${backEnd}: other code grows the memory between the heap's growths`, (t) => {
    const seed = seedOf(6000);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    foreignGrowth(coreSubject(backEnd, 8192), new Random(seed));
  });
}

/** Random operations while other code grows the memory and uses what it gets. */
function foreignGrowth(s: CoreSubject, random: Random): void {
  const shadow = shadowOf(s);
  const foreign: [number, number][] = [];
  for (let i = 0; i < 40000; i++) {
    if (random.below(300) === 0) foreign.push(growForeign(s, random.between(1, 9)));
    step(shadow, profiles[1 + ((i >>> 13) % 2)]!, random);
    if (i % 4000 === 0) assertValid(s);
  }
  assert.ok(foreign.length > 50 && s.growths > 50, `${foreign.length} and ${s.growths} growths`);
  assert.equal(shadow.refused, 0);
  for (const [from, to] of foreign) assertForeign(s, shadow, from, to);
  shadow.freeAll();
  assertEmpty(s);
}

function growForeign(s: CoreSubject, slices: number): [number, number] {
  const from = s.memory.grow(slices) * L.SLICE_SIZE;
  const to = from + slices * L.SLICE_SIZE;
  s.bytes().fill(0xf0, from, to);
  return [from, to];
}

function assertForeign(s: CoreSubject, shadow: Shadow, from: number, to: number): void {
  assert.equal(shadow.covers(from, to), false, "a block in foreign slices");
  const first = s
    .bytes()
    .subarray(from, to)
    .findIndex((byte) => byte !== 0xf0);
  assert.equal(first, -1, `foreign byte ${from + first} was written`);
  for (const p of [from, from + 8, to - 8]) assert.equal(s.core.contains(p), 0);
}
