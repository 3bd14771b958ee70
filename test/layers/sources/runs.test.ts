/** Free runs of a memory: against a list that is searched from its start, and in numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Runs } from "#src/layers/sources/runs.js";
import { growExactly, wasmMemory } from "#src/memory/index.js";
import { Random, seedOf } from "../../support/random.js";

const SLICE = 65536;

/** Which units are taken: the slow and simple form. */
class Model {
  readonly taken: boolean[] = [];

  /** The lowest place for a run below `end`, or -1. */
  firstFit(count: number, alignment: number, first: number, end: number): number {
    for (let at = Math.ceil(first / alignment) * alignment; at + count <= end; at += alignment) {
      if (!this.taken.slice(at, at + count).some(Boolean)) return at;
    }
    return -1;
  }

  fill(at: number, count: number, taken: boolean): void {
    for (let unit = at; unit < at + count; unit++) {
      assert.notEqual(Boolean(this.taken[unit]), taken, `unit ${unit}`);
      this.taken[unit] = taken;
    }
  }
}

test("runs never overlap, and the lowest that fits is used, in random runs", (t) => {
  const seed = seedOf(4100);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const source = wasmMemory({ growth: growExactly });
  const runs = new Runs(source);
  runs.addRest();
  const [first, model] = [source.start / SLICE, new Model()];
  const live: [at: number, count: number][] = [];
  for (let i = 0; i < 4000; i++) {
    if (live.length > 0 && random.chance(live.length > 60 ? 70 : 40)) {
      const [[at, count]] = live.splice(random.below(live.length), 1) as [[number, number]];
      runs.put(at, count);
      model.fill(at, count, false);
    } else {
      const count = 1 + random.below(random.chance(10) ? 40 : 4);
      const expected = model.firstFit(count, 1, first, source.buffer.byteLength / SLICE);
      const at = runs.take(count);
      if (expected >= 0) assert.equal(at, expected);
      model.fill(at, count, true);
      live.push([at, count]);
    }
    if (i % 50 === 0) assert.ok(runs.isValid());
  }
  for (const [at, count] of live) runs.put(at, count);
  assert.ok(runs.isValid());
  assert.equal(runs.taken, 0);
});

test("aligned runs lie at multiples, and use the gap that one of their kind has left", (t) => {
  const seed = seedOf(4101);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const source = wasmMemory();
  const runs = new Runs(source, { unit: 4096, least: 4, most: 64 });
  const model = new Model();
  const live: [at: number, count: number][] = [];
  for (let i = 0; i < 4000; i++) {
    const [count, alignment] = [1 + random.below(20), 2 ** random.below(6)];
    if (live.length < 100 || random.chance(50)) {
      const at = runs.takeAligned(count, alignment);
      assert.equal(at % alignment, 0);
      model.fill(at, count, true);
      live.push([at, count]);
    } else {
      const [[at, length]] = live.splice(random.below(live.length), 1) as [[number, number]];
      runs.put(at, length);
      model.fill(at, length, false);
    }
    if (i % 50 === 0) assert.ok(runs.isValid());
  }
  const gaps = new Runs(wasmMemory(), { unit: 4096 });
  const [, middle] = [gaps.takeAligned(16, 16), gaps.takeAligned(16, 16), gaps.takeAligned(16, 16)];
  gaps.put(middle as number, 16);
  assert.equal(gaps.takeAligned(16, 16), middle);
});

test("growth: by the least at first, by an eighth later, by what is needed where memory ends", () => {
  const source = wasmMemory({ growth: growExactly, maximum: 40 * 2 ** 20 });
  const runs = new Runs(source, { unit: 4096, least: 4, most: 64 });
  const grown: number[] = [];
  let taken = 0;
  for (let before = source.buffer.byteLength; runs.take(1) !== 0; taken++) {
    const now = source.buffer.byteLength;
    if (now > before) grown.push((now - before) / SLICE);
    before = now;
  }
  assert.equal(grown[0], 4);
  assert.equal(Math.max(...grown), 64);
  assert.ok(grown.length < 60, `${grown.length} growths`);
  assert.equal(source.buffer.byteLength, 40 * 2 ** 20);
  assert.equal(runs.taken, taken);
  assert.ok(runs.isValid());
});

test("a step takes about as long with 20 000 free runs as with 200", () => {
  const time = (gaps: number) => {
    const runs = new Runs(wasmMemory(), { unit: 64, least: 4, most: 64 });
    const ats = Array.from({ length: 2 * gaps }, () => runs.take(2));
    for (let i = 0; i < ats.length; i += 2) runs.put(ats[i] as number, 2);
    const start = process.hrtime.bigint();
    for (let i = 0; i < 20_000; i++) runs.put(runs.take(3), 3);
    return Number(process.hrtime.bigint() - start);
  };
  const best = (gaps: number) => Math.min(...Array.from({ length: 5 }, () => time(gaps)));
  best(200);
  assert.ok(best(20_000) < 10 * best(200), "logarithmic: a list from its start takes 100 times");
});
