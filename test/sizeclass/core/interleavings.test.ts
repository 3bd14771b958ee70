/** Deterministic exploration of the size-class allocator: see docs/guide/sizeclass.md, Threads. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { exploreAll, findsTear, replay } from "../../support/explorer.js";
import { Random, seedOf } from "../../support/random.js";
import { EITHER, HURRIES, WAITS } from "../../support/schedule.js";
import { SizeClassExplorer } from "./explorer.js";
import { deaths, programs } from "./step-all.js";
import { stuckPrograms } from "./step-stuck.js";
import type { Program } from "./steps.js";

const RANDOM_RUNS = Number(process.env.TERRANE_SCHEDULES ?? 20000) / 10;
const PREEMPTIONS = Number(process.env.TERRANE_PREEMPTIONS ?? 1);
/** A death comes before one of so many stores; releases on demand make more than others. */
const LATEST = { reserved: 80, "on demand": 160 };
/** Programs with fewer schedules are explored with one more preemption. */
const FEW = process.env.TERRANE_PREEMPTIONS === undefined ? 100 : 0;

const explorer = new SizeClassExplorer();
after(() => explorer.close());

const again = process.env.TERRANE_SCHEDULE;
if (again !== undefined) test("one schedule again", () => void replay(explorer, again));

/** Threads wait for a lock that is held, or continue without it. */
function explore(program: Program, preemptions: number): void {
  for (const haste of [WAITS, HURRIES]) exploreAll(explorer, program, preemptions, { haste });
}

for (const program of Object.values(programs).flat()) {
  test(`all schedules with a few preemptions: ${program.name}`, (t) => {
    const before = explorer.runs;
    explore(program, PREEMPTIONS);
    if (explorer.runs - before < FEW) explore(program, PREEMPTIONS + 1);
    t.diagnostic(`${explorer.runs - before} schedules`);
    assert.ok(explorer.runs - before >= 20);
  });
}

for (const [kind, some] of Object.entries(programs)) {
  test(`random schedules of all programs, regions ${kind}`, (t) => {
    const seed = seedOf(9400);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const random = new Random(seed);
    for (let i = 0; i < RANDOM_RUNS; i++) {
      const program = some[i % some.length]!;
      const first = random.below(program.roles.length);
      const oneIn = random.between(1, 8);
      explorer.run(program, { first, plan: [], seed: random.u32() | 1, oneIn, haste: EITHER });
    }
  });
}

/** Whether the first thread died, in any schedule. */
function exploreDeath(program: Program, haste: number, death: number): boolean {
  if (PREEMPTIONS > 1) return exploreAll(explorer, program, 1, { haste, death });
  return explorer.run(program, { first: 0, plan: [], haste }, false, death).died;
}

for (const program of Object.values(deaths).flat()) {
  test(`a thread dies before any of its stores: ${program.name}`, (t) => {
    explorer.lost = { chunks: 0, pages: 0 };
    for (const haste of [WAITS, HURRIES]) {
      let death = 0;
      while (exploreDeath(program, haste, death)) death++;
      t.diagnostic(`${death} deaths`);
      assert.ok(death >= 10);
    }
    t.diagnostic(`${explorer.lost.chunks} chunks, ${explorer.lost.pages} pages lost at most`);
  });
}

for (const [kind, some] of Object.entries(deaths)) {
  test(`random schedules in which a thread dies, regions ${kind}`, (t) => {
    const seed = seedOf(9500);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const random = new Random(seed);
    let died = 0;
    for (let i = 0; i < RANDOM_RUNS; i++) {
      const program = some[i % some.length]!;
      const first = random.below(program.roles.length);
      const oneIn = random.between(1, 8);
      const schedule = { first, plan: [], seed: random.u32() | 1, oneIn, haste: EITHER };
      if (
        explorer.run(program, schedule, false, random.below(LATEST[kind as keyof typeof LATEST]))
          .died
      )
        died++;
    }
    t.diagnostic(`${died} deaths`);
  });
}

test("a compare-and-swap that is broken on purpose is found", (t) => {
  for (const program of programs.reserved.slice(0, 2)) {
    const found = findsTear(explorer, program, 2);
    assert.ok(found, `${program.name} shows it`);
    const recording = /TERRANE_SCHEDULE='(.*)'/.exec(found)?.[1] ?? "";
    t.diagnostic(recording);
    assert.throws(() => replay(explorer, recording), "the printed schedule shows it again");
  }
});

for (const [program, schedule] of [
  // Eight attempts do not wait: the ninth must not count them as rounds of waiting.
  [
    "quarantine: a block is not reused while it is kept",
    { first: 1, plan: [], seed: -988623923, oneIn: 3, haste: EITHER },
  ],
  // The thread continues without the lock and gets it at the next attempt, which is a step.
  [
    "death: the quarantine, of a thread and of all",
    { first: 1, plan: [], seed: 666714287, oneIn: 1, haste: EITHER, deaths: [65] },
  ],
] as const) {
  test(`a thread that continues without a lock does not wait for it: ${program}`, () => {
    replay(explorer, JSON.stringify({ program, ...schedule }));
  });
}

for (const [program, seed, oneIn] of [
  ["two threads force the locks", 436380767, 1],
  ["a release of pages in which others have chunks", -1254589623, 2],
  ["on demand: regions with chunks on the late list stay", 672749289, 1],
] as const) {
  test(`a lock is released, however often its holder is preempted: ${program}`, () => {
    const first = program.startsWith("on demand") ? 1 : 0;
    const schedule = { first, plan: [], seed, oneIn, haste: WAITS };
    replay(explorer, JSON.stringify({ program, ...schedule }));
  });
}

for (const [i, program] of stuckPrograms.entries()) {
  test(`a lock that is never released is found: ${program.name}`, () => {
    const step = [1, 1] as const; // the first lock is taken, the second is not
    const schedule = { first: 0, plan: i === 0 ? [] : [step], haste: WAITS };
    assert.throws(() => explorer.run(program, schedule), /a lock is never released/);
  });
}
