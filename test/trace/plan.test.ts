/**
 * How a trace is divided into threads: every order that the steps allow is valid for the blocks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FREE, MALLOC, REALLOC, RECORD_WORDS } from "#src/trace/ops.js";
import type { Part, Plan } from "#src/trace/plan.js";
import { AWAIT, planCreate, SIGNAL, STEP_WORDS } from "#src/trace/plan.js";
import { partPlay } from "#src/trace/turns.js";
import { Random, seedOf } from "../support/random.js";
import { parse } from "./traces.js";

function plain({ thread, records, ids, steps }: Part): unknown {
  return { thread, records: [...records], ids: [...ids], steps: [...steps] };
}

test("a block that passes to another thread has a signal and an await", () => {
  const plan = planCreate(parse("m 1 8\nm 2 9\nf 2\nt 7\nm 3 5\nr 1 4 6\nf 3\nt 0\nf 4\n"));
  assert.equal(plan.slots, 3);
  assert.deepEqual(plan.parts.map(plain), [
    {
      thread: 0,
      records: [MALLOC, 0, 8, 0, MALLOC, 1, 9, 0, FREE, 1, 0, 0, FREE, 0, 0, 0],
      ids: [1, 2],
      steps: [1, SIGNAL, 0, 1, 3, AWAIT, 0, 2],
    },
    {
      thread: 7,
      records: [MALLOC, 2, 5, 0, REALLOC, 0, 6, 0, FREE, 2, 0, 0],
      ids: [3, 4],
      steps: [1, AWAIT, 0, 1, 2, SIGNAL, 0, 2],
    },
  ]);
});

test("a thread without operations has no part", () => {
  const plan = planCreate(parse("t 3\nt 2\nm 1 8\nt 0\nt 2\nf 1\n"));
  assert.deepEqual(
    plan.parts.map(({ thread }) => thread),
    [2],
  );
});

test("a part is played in order, and its steps between its records", () => {
  const { parts, slots } = planCreate(parse("m 1 8\nm 2 9\nt 7\nf 1\nm 3 5\nt 0\nf 2\nf 3\n"));
  const turns = new Int32Array(new SharedArrayBuffer(4 * slots));
  const seen: unknown[] = [];
  const play = (_: Uint32Array, from: number, to: number) => seen.push([from, to, [...turns]]);
  partPlay({ ...parts[0]!, steps: parts[0]!.steps.subarray(0, STEP_WORDS) }, turns, play);
  partPlay(parts[1]!, turns, play);
  partPlay(parts[0]!, turns, play);
  assert.deepEqual(seen, [
    [0, 1, [0, 0, 0]],
    [1, 4, [1, 0, 0]],
    [0, 0, [1, 0, 0]],
    [0, 2, [1, 0, 0]],
    [2, 2, [1, 0, 1]],
    [0, 1, [1, 0, 1]],
    [1, 3, [1, 0, 1]],
    [3, 4, [1, 0, 1]],
  ]);
});

/** A trace in which threads free and resize each other's blocks. */
function traceRandom(random: Random, operations: number): string {
  const lines: string[] = [];
  const live: number[] = [];
  let nextId = 1;
  for (let i = 0; i < operations; i++) {
    if (random.chance(20)) lines.push(`t ${random.below(4)}`);
    const kind = live.length === 0 ? 0 : random.below(4);
    const old = kind < 2 ? 0 : live.splice(random.below(live.length), 1)[0]!;
    if (kind === 0) lines.push(`m ${nextId} ${random.below(100)}`);
    if (kind === 1) lines.push(`r 0 ${nextId} ${random.below(100)}`);
    if (kind === 2) lines.push(`r ${old} ${nextId} ${random.below(100)}`);
    if (kind === 3) lines.push(`f ${old}`);
    else live.push(nextId++);
  }
  return `${lines.join("\n")}\n`;
}

interface Facts {
  thread: number;
  old: number;
}

/** The threads that allocate and free each ID. */
function factsOf(text: string): { made: Map<number, Facts>; freed: Map<number, number> } {
  const made = new Map<number, Facts>();
  const freed = new Map<number, number>();
  let thread = 0;
  for (const line of text.split("\n")) {
    const [letter, a = 0, b = 0] = line
      .split(" ")
      .map((word, i) => (i === 0 ? word : Number(word)));
    if (letter === "t") thread = Number(a);
    if (letter === "m") made.set(Number(a), { thread, old: 0 });
    if (letter === "r") made.set(Number(b), { thread, old: Number(a) });
    if (letter === "f") freed.set(Number(a), thread);
  }
  return { made, freed };
}

/** A part as it runs: at most one record or step at a time. */
class Runner {
  readonly part: Part;
  #record = 0;
  #step = 0;
  #made = 0;

  constructor(part: Part) {
    this.part = part;
  }

  get isOver(): boolean {
    const { records, steps } = this.part;
    return this.#record === records.length && this.#step === steps.length;
  }

  /** Whether its next step can run. `live` has the ID in each slot. */
  go(turns: number[], live: number[], { made, freed }: ReturnType<typeof factsOf>): boolean {
    const { thread, records, steps, ids } = this.part;
    if (steps[this.#step] === this.#record / RECORD_WORDS) {
      const [, kind, slot, count] = steps.subarray(this.#step, this.#step + STEP_WORDS);
      if (kind === AWAIT && (turns[slot!] ?? 0) < count!) return false;
      if (kind === SIGNAL) turns[slot!] = count!;
      this.#step += STEP_WORDS;
      return true;
    }
    const kind = records[this.#record];
    const slot = records[this.#record + 1]!;
    const old = live[slot] ?? 0;
    this.#record += RECORD_WORDS;
    if (kind === FREE) {
      assert.equal(freed.get(old), thread, `free of ${old}`);
      live[slot] = 0;
      return true;
    }
    const id = ids[this.#made++]!;
    assert.deepEqual(made.get(id), { thread, old }, `block ${id}`);
    live[slot] = id;
    return true;
  }
}

/**
 * Plays a plan in a random order; every block must have its operations in order, and no thread may
 * be stuck.
 */
function planRun(plan: Plan, text: string, random: Random): void {
  const facts = factsOf(text);
  const turns: number[] = [];
  const live: number[] = [];
  const all = plan.parts.map((part) => new Runner(part));
  for (let left = all; left.length > 0; left = left.filter((runner) => !runner.isOver)) {
    const order = left.map((runner) => ({ runner, at: random.u32() })).sort((a, b) => a.at - b.at);
    const gone = order.some(({ runner }) => runner.go(turns, live, facts));
    assert.ok(gone, "all threads wait");
  }
  const left = [...facts.made.keys()].filter((id) => {
    const resized = [...facts.made.values()].some(({ old }) => old === id);
    return !resized && !facts.freed.has(id);
  });
  assert.deepEqual(
    live.filter((id) => id !== 0).sort((a, b) => a - b),
    left,
  );
}

test("in any order of the threads each block has the operations of the trace", (t) => {
  const random = new Random(seedOf(4711));
  t.diagnostic(`seed ${random.seed}`);
  for (let i = 0; i < 100; i++) {
    const text = traceRandom(random, 120);
    const plan = planCreate(parse(text));
    for (let k = 0; k < 10; k++) planRun(plan, text, random);
  }
});

test("without the awaits some order is wrong", () => {
  const random = new Random(4711);
  const text = traceRandom(random, 120);
  const { parts, slots } = planCreate(parse(text));
  const careless = parts.map((part) => ({ ...part, steps: new Uint32Array(0) }));
  assert.throws(() => {
    for (let k = 0; k < 10; k++) planRun({ parts: careless, slots }, text, random);
  });
});
