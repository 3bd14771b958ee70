/** The measuring pass on an allocator with known addresses, and on allocators with mistakes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CFunctions, Subject } from "#src/trace/index.js";
import { allocators, linearSubject, measureRun, runReplay } from "#src/trace/index.js";
import { median, roundRun } from "#src/trace/round.js";
import { typedArraySubject } from "#src/trace/typed-arrays.js";
import { parse } from "./traces.js";

const STATE = 4096;

/** Never gives memory back; blocks begin at 4096 and every 16 bytes. */
function bump(
  changes: (raw: CFunctions, u8: Uint8Array) => Partial<CFunctions> = () => ({}),
): Subject {
  const u8 = new Uint8Array(1 << 20);
  let top = 4096;
  const sizes = new Map<number, number>();
  function malloc(size: number): number {
    if (top + size > u8.length) return 0;
    const p = top;
    top += Math.ceil(size / 16) * 16;
    sizes.set(p, size);
    return p;
  }
  function realloc(old: number, size: number): number {
    const p = malloc(size);
    if (p !== 0) u8.copyWithin(p, old, old + Math.min(sizes.get(old) ?? 0, size));
    return p;
  }
  const raw: CFunctions = { malloc, calloc: (n, size) => malloc(n * size), realloc, free() {} };
  return linearSubject(
    { ...raw, ...changes(raw, u8) },
    () => u8,
    () => STATE,
    true,
  );
}

/** Blocks are 4096..7096, 7104..7204 and 7216..17216: granules 1, 2, 3 and 4. */
const SMALL = "m 1 3000\nm 2 100\nf 1\nr 2 3 10000\nf 3\n";

test("peak bytes are the granules of all blocks and the state", () => {
  const measure = measureRun(parse(SMALL), "bump", bump());
  assert.deepEqual(measure, { peakBytes: 4 * 4096 + STATE, peakLiveBytes: 10_000 });
});

test("memory that is used again counts once, a block over two granules counts both", () => {
  const one = (text: string) => measureRun(parse(text), "bump", bump()).peakBytes - STATE;
  assert.equal(one("m 1 4096\n"), 4096);
  assert.equal(one("m 1 4097\n"), 8192);
  assert.equal(one("m 1 16\nm 2 16\nm 3 16\n"), 4096);
  assert.equal(one("m 1 0\n"), 0);
  const again = bump(() => ({ malloc: () => 8192 }));
  const text = "m 1 50\nf 1\nm 2 60\nf 2\n";
  assert.deepEqual(measureRun(parse(text), "again", again), {
    peakBytes: 4096 + STATE,
    peakLiveBytes: 60,
  });
});

test("an allocator without memalign gets one", () => {
  const text = "a 1 256 100\na 2 8 8\na 3 1024 50\nr 1 4 200\nr 4 5 300\nf 3\nf 5\nm 6 1\n";
  assert.equal(measureRun(parse(text), "bump", bump()).peakLiveBytes, 358);
});

/** What an allocator does wrong, the trace, and the text behind "x.trace: bad: operation ". */
const BROKEN: readonly (readonly [string, Subject, string, string])[] = [
  [
    "hands out one block twice",
    bump(() => ({ malloc: () => 8192 })),
    "m 1 50\nm 2 50\nf 1\n",
    "3: the contents of block 1 were overwritten",
  ],
  [
    "hands out blocks that overlap, seen at the end",
    bump((raw) => ({ malloc: (size) => raw.malloc(size - 32) })),
    "m 1 64\nm 2 64\n",
    "2: the contents of block 1 were overwritten",
  ],
  [
    "loses what realloc must keep",
    bump((raw) => ({ realloc: (_, size) => raw.malloc(size) })),
    "m 1 50\nr 1 2 70\n",
    "2: realloc lost bytes of block 1",
  ],
  [
    "loses the end of what realloc must keep",
    bump((raw, u8) => ({
      realloc: (old, size) => {
        const p = raw.realloc(old, size);
        u8[p + 49] = (u8[p + 49] as number) ^ 1;
        return p;
      },
    })),
    "m 1 50\nr 1 2 70\n",
    "2: realloc lost bytes of block 1",
  ],
  [
    "has a calloc that does not clear",
    bump((_, u8) => ({ calloc: () => 8192 + u8.fill(1, 8200, 8201).length * 0 })),
    "c 1 5 5\n",
    "1: block 1 of calloc is not zero",
  ],
  [
    "breaks alignment",
    bump((raw) => ({ malloc: (size) => raw.malloc(size) + 4 })),
    "m 1 1\nm 2 8\n",
    "2: block 2 at address 4116 is not aligned to 8",
  ],
  [
    "breaks the alignment that was asked for",
    bump((raw) => ({ memalign: (_, size) => raw.malloc(size) + 16 })),
    "a 1 64 8\n",
    "1: block 1 at address 4112 is not aligned to 64",
  ],
  ["runs out of memory", bump(), "m 1 2000000\n", "1: out of memory for block 1 of 2000000 bytes"],
  [
    "runs out of memory in realloc",
    bump(),
    "m 1 8\nt 4\nr 1 2 2000000\n",
    "2: out of memory for block 2 of 2000000 bytes",
  ],
  [
    "leaves its memory",
    bump(() => ({ malloc: () => (1 << 20) - 8 })),
    "m 1 16\n",
    "1: block 1 is not inside the memory",
  ],
  ["throws", bump(() => ({ malloc: () => assert.fail("no more") })), "m 1 16\n", "1: no more"],
];

for (const [what, subject, text, fault] of BROKEN) {
  test(`an allocator that ${what} is reported`, () => {
    const expected = { name: "ReplayError", message: `x.trace: bad: operation ${fault}` };
    assert.throws(() => measureRun(parse(text), "bad", subject), expected);
  });
}

test("uint8array counts the bytes that its live blocks hold", () => {
  const lines = Array.from({ length: 64 }, (_, i) => `m ${i + 1} 100000\n`).join("");
  const { peakBytes, peakLiveBytes } = measureRun(parse(lines), "uint8array", typedArraySubject());
  assert.equal(peakLiveBytes, 6_400_000);
  assert.ok(peakBytes > 6_000_000 && peakBytes < 8_000_000, `${peakBytes}`);
});

test("a timed round plays every operation, and frees blocks that are live at the end", () => {
  const calls = { made: 0, freed: 0 };
  const pool = new Uint8Array(1 << 16);
  const make = () => 64 * (1 + (calls.made++ % 100));
  const raw: CFunctions = {
    malloc: make,
    calloc: make,
    memalign: make,
    realloc: (p) => p || make(),
    free: () => calls.freed++,
  };
  const subject = linearSubject(
    raw,
    () => pool,
    () => 0,
    true,
  );
  const trace = parse("m 1 8\nc 2 2 8\na 3 8 8\nr 0 4 8\nr 4 5 9\nf 2\nt 2\nm 6 0\n");
  assert.ok(roundRun(trace, subject) > 0);
  assert.ok(calls.made > 0);
  assert.equal(calls.freed, calls.made);
});

test("the median of an odd and an even number of values", () => {
  assert.equal(median([5]), 5);
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4, 1, 9, 2]), 3);
});

const EVERY =
  "m 1 8\nc 2 5 300\na 3 64 100\na 4 4096 70000\nr 0 5 10\nr 3 6 90\nr 4 7 9\n" +
  "m 8 0\nr 5 9 0\nf 8\nf 1\nm 10 200000\nf 2\n";

test("every registered allocator serves every operation", async () => {
  const steps: number[] = [];
  const onStep = () => steps.push(1);
  const results = await runReplay(parse(EVERY), allocators, { rounds: 1, onStep });
  assert.equal(steps.length, allocators.length * 2);
  assert.deepEqual(
    results.map((result) => result.allocator),
    allocators.map((allocator) => allocator.name),
  );
  for (const result of results) {
    assert.equal(result.operations, 13);
    assert.equal(result.peakLiveBytes, 201_599);
    assert.ok(result.opsPerSecond > 0, result.allocator);
    assert.ok(Math.abs(result.fragmentation - result.peakBytes / result.peakLiveBytes) < 1e-9);
  }
});
