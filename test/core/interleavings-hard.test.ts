/** The programs of interleavings.test.ts with the hardened core, and mistakes that race. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { exploreAll } from "../support/explorer.js";
import { CoreExplorer } from "../support/explorer-core.js";
import { ALL } from "../support/hard.js";
import { Random, seedOf } from "../support/random.js";
import { deaths, mistakes, programs } from "../support/step-programs.js";

const RANDOM_RUNS = Number(process.env.TERRANE_SCHEDULES ?? 20000) / 10;

const explorer = new CoreExplorer(ALL);
after(() => explorer.close());

for (const [list, preemptions] of [
  [programs, 1],
  [mistakes, 2],
] as const) {
  for (const program of list) {
    test(`hardened: all schedules with up to ${preemptions} preemptions: ${program.name}`, (t) => {
      const before = explorer.runs;
      exploreAll(explorer, program, preemptions);
      t.diagnostic(`${explorer.runs - before} schedules`);
      assert.ok(explorer.runs - before >= program.roles.length);
    });
  }
}

test("hardened: random schedules of all programs and mistakes", (t) => {
  const seed = seedOf(9200);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const all = [...programs, ...mistakes];
  for (let i = 0; i < RANDOM_RUNS; i++) {
    const program = all[i % all.length]!;
    const first = random.below(program.roles.length);
    const oneIn = random.between(1, 8);
    explorer.run(program, { first, plan: [], seed: random.u32() | 1, oneIn });
  }
});

test("hardened: a thread dies at random instants", (t) => {
  const seed = seedOf(9300);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  let died = 0;
  for (let i = 0; i < RANDOM_RUNS; i++) {
    const program = deaths[i % deaths.length]!;
    const first = random.below(program.roles.length);
    const schedule = { first, plan: [], seed: random.u32() | 1, oneIn: random.between(1, 8) };
    if (explorer.run(program, schedule, false, [random.below(120)]).dead !== 0) died++;
  }
  t.diagnostic(`${died} deaths`);
  assert.ok(died > RANDOM_RUNS / 10);
});
