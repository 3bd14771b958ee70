/** Random runs beside a shadow model: over a million operations, both back ends of both builds. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { backEnds, builds, type CoreSubject, coreSubject } from "../support/core.js";
import { type Profile, profiles, Shadow, step } from "../support/model.js";
import { assertEmpty, assertValid } from "../support/pages.js";
import { Random, seedOf } from "../support/random.js";
import { HIGH_BASE } from "../support/variants.js";

const WALK_EVERY = 4000;
/** For each profile and back end; their sum is above a million. */
const OPERATIONS: Record<string, number> = {
  small: 200000,
  mixed: 120000,
  large: 30000,
  aligned: 100000,
  realloc: 80000,
};

function shadowOf(s: CoreSubject): Shadow {
  return new Shadow({ ...s.core, bytes: s.bytes });
}

function run(s: CoreSubject, profile: Profile, random: Random, operations: number): Shadow {
  const shadow = shadowOf(s);
  for (let i = 1; i <= operations; i++) {
    step(shadow, profile, random);
    if (i % WALK_EVERY === 0) assertValid(s);
  }
  return shadow;
}

/** Everything is freed: the counters are 0 again, and the heap still works. */
function finish(s: CoreSubject, shadow: Shadow): void {
  shadow.checkAll();
  shadow.freeAll();
  assertEmpty(s);
  shadow.malloc(100);
  shadow.freeAll();
  assertEmpty(s);
}

function say(t: TestContext, seed: number, shadow: Shadow): void {
  t.diagnostic(`TERRANE_SEED=${seed}: ${shadow.operations} operations`);
}

for (const backEnd of backEnds)
  for (const build of builds) {
    for (const [number, profile] of profiles.entries()) {
      test(`${backEnd}, ${build}: random operations, ${profile.name}`, (t) => {
        const seed = seedOf(1000 + number);
        t.diagnostic(`TERRANE_SEED=${seed}`);
        const s = coreSubject(backEnd, 4096, 0, build);
        const shadow = run(s, profile, new Random(seed), OPERATIONS[profile.name]!);
        assert.equal(shadow.refused, 0, "256 MiB are enough");
        finish(s, shadow);
        say(t, seed, shadow);
      });
    }

    test(`${backEnd}, ${build}: random operations above 2 GiB`, (t) => {
      const seed = seedOf(2000);
      t.diagnostic(`TERRANE_SEED=${seed}`);
      const s = coreSubject(backEnd, 4096, HIGH_BASE, build);
      const shadow = run(s, profiles[1]!, new Random(seed), 40000);
      assert.equal(shadow.refused, 0);
      finish(s, shadow);
      say(t, seed, shadow);
    });

    test(`${backEnd}, ${build}: random operations in a memory that is too small`, (t) => {
      const seed = seedOf(3000);
      t.diagnostic(`TERRANE_SEED=${seed}`);
      const s = coreSubject(backEnd, 200, 0, build);
      const shadow = run(s, profiles[1]!, new Random(seed), 60000);
      assert.ok(shadow.refused > 100, `${shadow.refused} requests were refused`);
      finish(s, shadow);
      say(t, seed, shadow);
    });
  }
