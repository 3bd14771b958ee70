/**
 * Lockstep: the two builds of the one source return the same addresses for the same operations and
 * leave the same bytes.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import * as L from "#src/core/layout/layout.js";
import {
  type Build,
  builds,
  type CoreSubject,
  coreSubject,
  type HardSetting,
} from "../support/core.js";
import { FEATURES, hardProfiles } from "../support/hard.js";
import { Random, seedOf } from "../support/random.js";
import { traceNames, traceOperations } from "../support/traces.js";
import { HIGH_BASE } from "../support/variants.js";

/** One operation; subjects return 0 for a call without a result. */
type Call = (s: CoreSubject) => number | boolean | void;

interface Pair {
  wasm: CoreSubject;
  js: CoreSubject;
  operations: number;
}

function pair(maximum: number, base = 0, build: Build = "single", hard?: HardSetting): Pair {
  return {
    wasm: coreSubject("wasm", maximum, base, build, hard),
    js: coreSubject("js", maximum, base, build, hard),
    operations: 0,
  };
}

/** Runs one operation on both sides; returns its result if they agree. */
function both(pair: Pair, name: string, call: Call): number {
  const expected = Number(call(pair.wasm));
  const result = Number(call(pair.js));
  if (result !== expected) {
    assert.fail(`operation ${pair.operations}, ${name}: wasm ${expected}, js ${result}`);
  }
  pair.operations++;
  return result;
}

/** Writes the same bytes into a block on both sides. */
function mark(pair: Pair, p: number, size: number): void {
  if (p === 0) return;
  for (const s of [pair.wasm, pair.js]) {
    s.bytes().fill(pair.operations & 0xff, p, p + Math.min(size, 64));
    if (size > 64) s.bytes().fill(0x77, p + size - 16, p + size);
  }
}

function assertSameMemory(pair: Pair): void {
  const wasm = Buffer.from(pair.wasm.memory.buffer);
  const js = Buffer.from(pair.js.memory.buffer);
  assert.equal(js.length, wasm.length, "size of the memories");
  const { base } = pair.wasm;
  if (Buffer.compare(js.subarray(base), wasm.subarray(base)) === 0) return;
  let at = base;
  while (js[at] === wasm[at]) at++;
  assert.fail(`byte ${at}: wasm ${wasm[at]}, js ${js[at]}`);
}

function finish(t: TestContext, pair: Pair): void {
  assertSameMemory(pair);
  assert.deepEqual(pair.js.errors, pair.wasm.errors);
  assert.deepEqual(pair.js.reports, pair.wasm.reports);
  assert.deepEqual(pair.js.guards, pair.wasm.guards);
  assert.equal(pair.js.growths, pair.wasm.growths);
  t.diagnostic(`${pair.operations} operations`);
}

interface Live {
  p: number;
  size: number;
}

const ALLOCATIONS: Record<string, (r: Random, size: number) => Call> = {
  malloc: (_, size) => (s) => s.core.malloc(size),
  mallocn: (r, size) => {
    const count = r.between(0, 3);
    return (s) => s.core.mallocn(count, size);
  },
  calloc: (_, size) => (s) => s.core.calloc(1, size),
  memalign: (r, size) => {
    const alignment = 1 << r.between(0, 17);
    return (s) => s.core.memalign(alignment, size);
  },
  memalignAt: (r, size) => {
    const alignment = 1 << r.between(0, 14);
    const offset = r.below(5000);
    return (s) => s.core.memalignAt(alignment, size, offset);
  },
  tooLarge: (r) => {
    const size = 0x70000000 + r.below(0x8fffffff);
    return (s) => s.core.malloc(size);
  },
};

const RESIZES: Record<string, (r: Random, p: number, size: number) => Call> = {
  realloc: (_, p, size) => (s) => s.core.realloc(p, size),
  rezalloc: (_, p, size) => (s) => s.core.rezalloc(p, size),
  reallocAligned: (r, p, size) => {
    const alignment = 1 << r.between(0, 12);
    return (s) => s.core.reallocAligned(p, size, alignment);
  },
  reallocAlignedAt: (r, p, size) => {
    const alignment = 1 << r.between(0, 12);
    const offset = r.below(100);
    return (s) => s.core.reallocAlignedAt(p, size, alignment, offset);
  },
};

const QUESTIONS: Record<string, (p: number) => Call> = {
  usableSize: (p) => (s) => s.core.usableSize(p),
  contains: (p) => (s) => s.core.contains(p) as number,
  goodSize: (p) => (s) => s.core.goodSize(p % 0x7fffffff),
  expand: (p) => (s) => s.core.expand(p, 100),
  wild: (p) => (s) => s.core.usableSize((p * 2654435761) >>> 0),
};

function choose<T>(r: Random, table: Record<string, T>): [string, T] {
  const names = Object.keys(table);
  const name = names[r.below(names.length)]!;
  return [name, table[name]!];
}

function stepAllocate(pair: Pair, r: Random, live: Live[]): void {
  const size = r.skewed(1, r.chance(5) ? 500000 : 20000) - 1;
  const [name, make] = r.chance(60) ? ["malloc", ALLOCATIONS.malloc!] : choose(r, ALLOCATIONS);
  const p = both(pair, `${name}(${size})`, make(r, size));
  if (p === 0) return;
  const usable = both(pair, "usableSize", (s) => s.core.usableSize(p));
  mark(pair, p, Math.min(size, usable));
  live.push({ p, size: usable });
}

function stepResize(pair: Pair, r: Random, live: Live[]): void {
  const at = r.below(live.length);
  const block = live[at]!;
  const size = r.skewed(1, r.chance(5) ? 500000 : 20000) - 1;
  const [name, make] = choose(r, RESIZES);
  const p = both(pair, `${name}(${block.p}, ${size})`, make(r, block.p, size));
  if (p === 0) return;
  live[at] = { p, size: both(pair, "usableSize", (s) => s.core.usableSize(p)) };
  mark(pair, p, Math.min(size, live[at].size));
}

function stepFree(pair: Pair, r: Random, live: Live[]): void {
  const [block] = live.splice(r.below(live.length), 1);
  both(pair, `freeChecked(${block!.p})`, (s) => s.core.freeChecked(block!.p));
}

function stepAny(pair: Pair, r: Random, live: Live[], limit: number): void {
  const dice = r.below(100);
  if (dice < 5) {
    const p = live.length > 0 ? live[r.below(live.length)]!.p : r.u32();
    const [name, make] = choose(r, QUESTIONS);
    both(pair, `${name}(${p})`, make(p));
  } else if (dice < 15 && live.length > 0) {
    stepResize(pair, r, live);
  } else if (live.length > 0 && r.chance((100 * live.length) / limit)) {
    stepFree(pair, r, live);
  } else {
    stepAllocate(pair, r, live);
  }
}

const PLACES = [
  { name: "at 0", base: 0, maximum: 4096 },
  { name: "above 2 GiB", base: HIGH_BASE, maximum: 4096 },
  { name: "in too small a memory", base: 0, maximum: 60 },
];

for (const build of builds) {
  for (const { name, base, maximum } of PLACES) {
    test(`wasm and js, ${build}: lockstep of random operations ${name}`, (t) => {
      const seed = seedOf(4000 + maximum);
      t.diagnostic(`TERRANE_SEED=${seed}`);
      const random = new Random(seed);
      const subjects = pair(maximum, base, build);
      const live: Live[] = [];
      for (let i = 0; i < 90000; i++) stepAny(subjects, random, live, 2000);
      while (live.length > 0) stepFree(subjects, random, live);
      both(subjects, "heapCollect", (s) => s.core.heapCollect());
      both(subjects, "heapIsValid", (s) => s.core.heapIsValid());
      finish(t, subjects);
    });
  }

  for (const name of traceNames()) {
    test(`wasm and js, ${build}: lockstep of ${name}`, (t) => traceRun(t, build, name));
  }
}

/** One operation on arenas, on heaps with an arena or a budget, or on purges, at random. */
function stepMemory(pair: Pair, r: Random, heaps: number[]): void {
  const [dice, count] = [r.below(10), r.between(1, 40)];
  if (dice < 4) {
    both(pair, "purge", (s) => s.core.purge(dice === 0));
  } else if (dice < 6) {
    const flags = r.below(2) * L.ARENA_EXCLUSIVE;
    both(pair, `arenaMake(${count})`, (s) => s.core.arenaMake(count, flags, r.below(1)));
  } else if (dice === 6) {
    const first = both(pair, "memory.grow", (s) => s.memory.grow(count));
    both(pair, "arenaGive", (s) => s.core.arenaGive(first, count, L.ARENA_ZEROED, L.NODE_ANY));
  } else if (dice === 7) {
    const heap = both(pair, "heapNew", (s) => s.core.heapNew());
    if (heap === 0) return;
    const [most, arena] = [r.below(2) * count, r.below(6)];
    both(pair, "heapLimit", (s) => s.core.heapLimit(heap, most, arena));
    heaps.push(heap);
  } else {
    const heap = heaps[r.below(heaps.length)]!;
    both(pair, "heapBind", (s) => s.core.heapBind(heap));
  }
}

for (const build of builds) {
  for (const { name, base } of PLACES.slice(0, 2)) {
    test(`wasm and js, ${build}: lockstep of arenas, budgets and purges ${name}`, (t) => {
      const seed = seedOf(4700);
      t.diagnostic(`TERRANE_SEED=${seed}`);
      const random = new Random(seed);
      const subjects = pair(4096, base, build);
      for (const s of [subjects.wasm, subjects.js]) {
        s.core.purgeSet(3, 1, 2, L.PAGES_ZERO);
        s.pageCall = (_, address, bytes) => !!s.bytes().fill(0, address, address + bytes);
      }
      const heaps = [both(subjects, "heapBound", (s) => s.core.heapBound())];
      const live: Live[] = [];
      for (let i = 0; i < 30000; i++) {
        if (random.chance(2)) stepMemory(subjects, random, heaps);
        else stepAny(subjects, random, live, 500);
      }
      while (live.length > 0) stepFree(subjects, random, live);
      both(subjects, "heapBind", (s) => s.core.heapBind(heaps[0]!));
      for (const heap of heaps.slice(1)) both(subjects, "delete", (s) => s.core.heapDelete(heap));
      both(subjects, "purge", (s) => s.core.purge(true));
      assert.equal(
        both(subjects, "heapIsValid", (s) => s.core.heapIsValid()),
        1,
      );
      assert.equal(
        both(subjects, "committedIsValid", (s) => Number(s.core.committedIsValid())),
        1,
      );
      assert.deepEqual(subjects.js.pages, subjects.wasm.pages);
      t.diagnostic(`${subjects.wasm.pages.length} purges, ${heaps.length} heaps`);
      finish(t, subjects);
    });
  }
}

/** Mistakes that these features detect, made on both sides; the reports are compared. */
function stepMistake(pair: Pair, r: Random, live: Live[], bits: number): void {
  const block = live[r.below(live.length)]!;
  const on = (bit: number) => (bits & bit) !== 0;
  if (on(FEATURES.padding | FEATURES.canary) && r.chance(40)) {
    const at = block.p + block.size + r.below(4);
    for (const s of [pair.wasm, pair.js]) s.bytes()[at] = 7;
  }
  if (on(FEATURES.doubleFree) && r.chance(30)) {
    stepFree(pair, new Random(0), [block]);
    live.splice(live.indexOf(block), 1);
    both(pair, `free(${block.p})`, (s) => s.core.free(block.p));
  }
  if (on(FEATURES.checkedFree)) {
    // In a page with aligned blocks only records show whether p is a block, and lists if those are
    // lost.
    const records = on(FEATURES.padding | FEATURES.canary) && on(FEATURES.doubleFree);
    const wild = records ? block.p + r.between(1, 40) : r.below(pair.wasm.base + 60000);
    both(pair, `free(${wild})`, (s) => s.core.free(wild));
  }
}

/** Operations of each of the 42 runs of a profile; each run has its own memory. */
const HARD_OPERATIONS = 2000;

for (const build of builds) {
  for (const [number, [name, bits]] of hardProfiles.entries()) {
    test(`wasm and js, ${build}, hardened: lockstep with ${name}`, (t) => {
      const seed = seedOf(4300 + number);
      t.diagnostic(`TERRANE_SEED=${seed}`);
      const random = new Random(seed);
      const hard = { bits, seed, guard: 4096 };
      const subjects = pair(200, name === "all" ? HIGH_BASE : 0, build, hard);
      const live: Live[] = [];
      for (let i = 0; i < HARD_OPERATIONS; i++) {
        stepAny(subjects, random, live, 400);
        if (live.length > 0 && random.chance(2)) stepMistake(subjects, random, live, bits);
      }
      while (live.length > 0) stepFree(subjects, random, live);
      both(subjects, "heapCollect", (s) => s.core.heapCollect());
      both(subjects, "heapIsValid", (s) => s.core.heapIsValid());
      assert.equal(subjects.wasm.core.heapIsValid(), 1);
      t.diagnostic(`${subjects.wasm.reports.length} reports`);
      finish(t, subjects);
    });
  }
}

/** Allocates a block for an operation of a trace, on both sides. */
function traceAllocate(pair: Pair, letter: string, numbers: number[]): number {
  const [, a = 0, b = 0] = numbers;
  if (letter === "m") return both(pair, `malloc(${a})`, (s) => s.core.malloc(a));
  if (letter === "c") return both(pair, `calloc(${a}, ${b})`, (s) => s.core.calloc(a, b));
  assert.equal(letter, "a", "letter of a trace");
  return both(pair, `memalign(${a}, ${b})`, (s) => s.core.memalign(a, b));
}

function traceStep(pair: Pair, blocks: number[], letter: string, numbers: number[]): void {
  const [id = 0, next = 0, size = 0] = numbers;
  if (letter === "f") {
    both(pair, "free", (s) => s.core.free(blocks[id]!));
  } else if (letter === "r") {
    const p = blocks[id] ?? 0;
    blocks[next] = both(pair, `realloc(${p}, ${size})`, (s) => s.core.realloc(p, size));
    assert.notEqual(blocks[next], 0);
  } else {
    blocks[id] = traceAllocate(pair, letter, numbers);
    assert.notEqual(blocks[id], 0);
  }
}

function traceRun(t: TestContext, build: Build, name: string): void {
  const subjects = pair(4096, 0, build);
  const blocks: number[] = [];
  for (const [letter, ...numbers] of traceOperations(name)) {
    traceStep(subjects, blocks, letter, numbers);
  }
  both(subjects, "heapIsValid", (s) => s.core.heapIsValid());
  assert.equal(subjects.wasm.core.heapIsValid(), 1);
  finish(t, subjects);
}
