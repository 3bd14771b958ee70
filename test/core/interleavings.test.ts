/** Deterministic exploration: a scheduler can switch threads before any atomic access. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { exploreAll, findsTear, replay, type Schedule } from "../support/explorer.js";
import { CoreExplorer } from "../support/explorer-core.js";
import { Random, seedOf } from "../support/random.js";
import { allPrograms, burials, deaths, programs, ring } from "../support/step-programs.js";
import { NO_THREAD, type Program } from "../support/steps.js";

const RANDOM_RUNS = Number(process.env.TERRANE_SCHEDULES ?? 6000);
const PREEMPTIONS = Number(process.env.TERRANE_PREEMPTIONS ?? 2);

const explorer = new CoreExplorer();
after(() => explorer.close());

const again = process.env.TERRANE_SCHEDULE;
if (again !== undefined) test("one schedule again", () => void replay(explorer, again));

function scheduleNext(random: Random, program: Program): Schedule {
  const first = random.below(program.roles.length);
  return { first, plan: [], seed: random.u32() | 1, oneIn: random.between(1, 8) };
}

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
    explorer.run(program, scheduleNext(random, program));
  }
});

for (const program of [...deaths, ...burials]) {
  test(`a thread dies before any of its stores: ${program.name}`, (t) => {
    let death = 0;
    while (explorer.run(program, { first: 0, plan: [] }, false, [death]).dead !== 0) death++;
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
    const schedule = scheduleNext(random, program);
    if (explorer.run(program, schedule, false, [random.below(80)]).dead !== 0) died++;
  }
  t.diagnostic(`${died} deaths`);
});

test("random schedules of all programs in which each thread may die, while others are recovered", (t) => {
  const seed = seedOf(9110);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const list = [...burials, ...programs, ...burials, ...deaths].filter((each) => !each.immortal);
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < RANDOM_RUNS / 4; i++) {
    const program = list[i % list.length]!;
    const mortal = program.roles.map(() => (random.chance(60) ? random.below(120) : NO_THREAD));
    const { dead } = explorer.run(program, scheduleNext(random, program), false, mortal);
    counts[[0, 1, 1, 2, 1, 2, 2, 3][dead]!]! += 1;
  }
  t.diagnostic(`${counts.join(", ")} runs with 0, 1, 2, 3 deaths`);
  assert.ok(Math.min(...counts.slice(0, 3)) > RANDOM_RUNS / 200);
});

test("a list of remote frees that a double free has made a ring does not cause an endless walk", () => {
  explorer.run(ring, { first: 0, plan: [] });
});

test("an endless loop is a failure with its schedule", () => {
  const program = allPrograms.find(({ name }) => name === "a thread that never ends")!;
  const run = () => explorer.run(program, { first: 0, plan: [] });
  assert.throws(
    run,
    /thread 0 is in an endless loop(.|\n)*TERRANE_SCHEDULE='\{"program":"a thread that never/,
  );
});

test("a deliberately broken compare-and-swap is found", (t) => {
  for (const program of programs.slice(0, 4)) {
    const found = findsTear(explorer, program, 1);
    assert.ok(found, `${program.name} reveals it`);
    const recording = /TERRANE_SCHEDULE='(.*)'/.exec(found)?.[1] ?? "";
    t.diagnostic(recording);
    assert.throws(() => replay(explorer, recording), "the printed schedule reveals it again");
  }
});
