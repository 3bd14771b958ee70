/** Deterministic exploration: threads under a scheduler that stops them before any atomic access. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { exploreAll, findsTear, replay } from "../support/explorer.js";
import { CoreExplorer } from "../support/explorer-core.js";
import { Random, seedOf } from "../support/random.js";
import { deaths, programs } from "../support/step-programs.js";

const RANDOM_RUNS = Number(process.env.TERRANE_SCHEDULES ?? 20000);
const PREEMPTIONS = Number(process.env.TERRANE_PREEMPTIONS ?? 2);

const explorer = new CoreExplorer();
after(() => explorer.close());

const again = process.env.TERRANE_SCHEDULE;
if (again !== undefined) test("one schedule again", () => void replay(explorer, again));

for (const program of programs) {
  test(`all schedules with up to ${PREEMPTIONS} preemptions: ${program.name}`, (t) => {
    const before = explorer.runs;
    exploreAll(explorer, program, PREEMPTIONS);
    t.diagnostic(`${explorer.runs - before} schedules`);
    assert.ok(explorer.runs - before > program.roles.length);
  });
}

test("random schedules of all programs", (t) => {
  const seed = seedOf(9000);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  for (let i = 0; i < RANDOM_RUNS; i++) {
    const program = programs[i % programs.length]!;
    const first = random.below(program.roles.length);
    const oneIn = random.between(1, 8);
    explorer.run(program, { first, plan: [], seed: random.u32() | 1, oneIn });
  }
});

for (const program of deaths) {
  test(`a thread dies before any of its stores: ${program.name}`, (t) => {
    let death = 0;
    while (explorer.run(program, { first: 0, plan: [] }, false, death).died) death++;
    t.diagnostic(`${death} deaths`);
    assert.ok(death >= 10);
  });
}

test("random schedules in which a thread dies", (t) => {
  const seed = seedOf(9100);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  let died = 0;
  for (let i = 0; i < RANDOM_RUNS / 4; i++) {
    const program = deaths[i % deaths.length]!;
    const schedule = {
      first: random.below(program.roles.length),
      plan: [],
      seed: random.u32() | 1,
    };
    const death = random.below(80);
    if (explorer.run(program, { ...schedule, oneIn: random.between(1, 8) }, false, death).died) {
      died++;
    }
  }
  t.diagnostic(`${died} deaths`);
});

test("a compare-and-swap that is broken on purpose is found", (t) => {
  for (const program of programs.slice(0, 4)) {
    const found = findsTear(explorer, program, 1);
    assert.ok(found, `${program.name} shows it`);
    const recording = /TERRANE_SCHEDULE='(.*)'/.exec(found)?.[1] ?? "";
    t.diagnostic(recording);
    assert.throws(() => replay(explorer, recording), "the printed schedule shows it again");
  }
});
