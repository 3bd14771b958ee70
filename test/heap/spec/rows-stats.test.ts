/** Rows 102 to 104: statistics, their text, and what threads count together. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type CountOf,
  createAbi,
  formatStats,
  type Heap,
  type HeapStats,
  readProcessInfo,
  registerOutput,
  resetStats,
  type SubHeap,
  setStatsLevel,
} from "#src/heap/index.js";
import type { SharedHeap } from "#src/heap/shared.js";
import {
  amountText,
  averageLine,
  countLine,
  headerLine,
  secondsText,
} from "#src/heap/stats/stats-text.js";
import { binBytes, binOfBlock } from "#src/heap/stats/tally.js";
import { anyHeap, attachAny } from "../../support/any-heap.js";
import { backEnds, coreSubject } from "../../support/core.js";
import { type HeapMake, placesOf, testPlaces } from "../../support/places.js";
import { Random, seedOf } from "../../support/random.js";

const root = fileURLToPath(new URL("../../../../", import.meta.url));

const places = placesOf(2 ** 27);

function everywhere(name: string, body: (make: HeapMake) => void): void {
  testPlaces(places, name, body);
}

function printed(heap: Heap): string[] {
  return formatStats(heap.stats()).match(/.*\n/g) as string[];
}

test("row 102: stats amounts - 0, 1 (blank), 1536 = 1.5 KiB, 1048575 = 1028.0 KiB", () => {
  const expected: [number, number, string][] = [
    [0, 1, "0      "],
    [1, 1, ""],
    [2, 1, "2   B  "],
    [1023, 1, "1023   B  "],
    [1024, 1, "1.0 KiB"],
    [1536, 1, "1.5 KiB"],
    [1048575, 1, "1028.0 KiB"],
    [1048576, 1, "1.0 MiB"],
    [2 ** 30, 1, "1.0 GiB"],
    [2 ** 40, 1, "1024.0 GiB"],
    [100, 112, "10.9 KiB"],
    [1, 112, "112   B  "],
    [1, -1, "1      "],
    [1023, -1, "1023      "],
    [1024, -1, "1.0 Ki "],
    [999, 0, "999      "],
    [1000, 0, "1.0 K  "],
    [1023, 0, "1.0 K  "],
    [2_500_000, 0, "2.5 M  "],
    [-1536, 1, "-1.5 KiB"],
  ];
  for (const [n, unit, text] of expected) assert.equal(amountText(n, unit), text, `${n} ${unit}`);
});

test("row 102: stats amounts - the other kinds of rows", () => {
  const stat: CountOf = { peak: 3, total: 5, freed: 5, current: 0 };
  assert.equal(
    countLine("pages", stat, -1),
    "     pages:     3           5           5           0                                ok",
  );
  assert.equal(
    countLine("reserved", { ...stat, freed: 4 }, 1, ""),
    "  reserved:     3   B       5   B       4   B       0                                ",
  );
  assert.equal(averageLine("searches", 25, 10), "  searches:     2.5 avg");
  assert.equal(averageLine("searches", 0, 0), "  searches:     0.0 avg");
  assert.equal(secondsText(12_034.9), "12.034 s");
});

everywhere("row 103: stats table - 100 mallocs of 100 bytes, 50 of them freed", (make) => {
  const heap = make({ statsLevel: 2 });
  const blocks = Array.from({ length: 100 }, () => heap.malloc(100));
  for (const p of blocks.slice(50)) heap.free(p);
  const lines = printed(heap);
  const header =
    "heap stats:     peak       total       freed     current        unit       count   \n";
  assert.deepEqual(lines.slice(0, 9), [
    header,
    "normal  11:    10.9 KiB    10.9 KiB     5.4 KiB     5.4 KiB   112   B     100        not all freed\n",
    "\n",
    header,
    "    normal:    10.9 Ki     10.9 Ki      5.4 Ki      5.4 Ki    112   B     100        not all freed!\n",
    "     large:     0           0           0           0                                ok\n",
    "      huge:     0           0           0           0                                ok\n",
    "     total:    10.9 KiB    10.9 KiB     5.4 KiB     5.4 KiB                          not all freed\n",
    "malloc req:     9.8 KiB\n",
  ]);
  assert.equal(`${headerLine()}\n`, header);
  const names = lines.slice(9).map((line) => line.slice(0, 10).trim());
  const rows = ["reserved", "committed", "reset", "purged", "touched", "pages", "-abandoned"];
  const calls = ["-extended", "-noretire", "mmaps", "commits", "resets", "purges", "threads"];
  assert.deepEqual(names, ["", ...rows, ...calls, "searches", "elapsed", "process"]);
  const times = String.raw`user: \d+\.\d{3} s, system: \d+\.\d{3} s, faults: \d+`;
  assert.match(lines.at(-2) as string, /^ {3}elapsed: {2,}\d+\.\d{3} s\n$/);
  const memory = String.raw`rss: \d+\.\d [MG]iB, commit: \d+\.\d KiB`;
  assert.match(
    lines.at(-1) as string,
    new RegExp(String.raw`^ {3}process: ${times}, ${memory}\n$`),
  );
});

everywhere("row 103: stats table - without a level only what costs nothing", (make) => {
  const heap = make();
  heap.malloc(100);
  const lines = printed(heap);
  assert.equal(lines[0], `${headerLine()}\n`);
  assert.match(lines[1] as string, /^ {2}reserved:/);
  const { sizes, bins, requestedBytes } = heap.stats();
  assert.deepEqual([sizes, bins, requestedBytes], [undefined, undefined, undefined]);
  const out: string[] = [];
  registerOutput((text) => out.push(text));
  createAbi(heap).mi_stats_print?.();
  assert.equal(out.length, lines.length);
});

test("row 104: stats merge - what a thread counted stays when it has ended", () => {
  for (const backend of backEnds) {
    const heap = anyHeap({ shared: true, backend, maximum: 2 ** 26, statsLevel: 2 });
    const mine = attachAny(heap.handle());
    assert.equal(mine.statsLevel, 2);
    const blocks = Array.from({ length: 2000 }, () => mine.malloc(100));
    const before = heap.stats();
    assert.deepEqual(before, mine.stats());
    assert.equal(before.bins?.find(({ size }) => size === 112)?.blocks.total, 2000);
    assert.ok(before.counts.extends > 50 && before.counts.pages.total === 4);
    mine.detach();
    const after = heap.stats();
    assert.deepEqual(after.sizes, before.sizes);
    assert.deepEqual(after.counts.extends, before.counts.extends);
    assert.deepEqual(after.counts.pages, before.counts.pages);
    assert.deepEqual(after.counts.abandoned, { peak: 4, total: 4, freed: 0, current: 4 });
    assert.deepEqual(after.counts.threads, { peak: 2, total: 2, freed: 1, current: 1 });
    for (const p of blocks) heap.free(p);
    heap.collect(true);
    const { counts, sizes } = heap.stats();
    assert.deepEqual(counts.abandoned, { peak: 0, total: 4, freed: 4, current: 0 });
    assert.deepEqual([counts.pages.current, counts.pages.total], [0, 4]);
    assert.deepEqual(sizes?.normal.blocks, { peak: 2000, total: 2000, freed: 2000, current: 0 });
  }
});

test("row 104: stats merge - the next thread in a place counts on; heaps beside count too", () => {
  for (const backend of backEnds) {
    const heap = anyHeap({ shared: true, backend, maximum: 2 ** 26 });
    let extended = 0;
    for (let i = 1; i <= 5; i++) {
      const mine = attachAny(heap.handle());
      mine.free(mine.malloc(64));
      mine.newHeap().malloc(64);
      mine.detach();
      assert.ok(heap.stats().counts.extends > extended);
      extended = heap.stats().counts.extends;
      assert.equal(heap.stats().counts.threads.total, i + 1);
    }
    assert.equal(heap.stats().counts.threads.peak, 2);
  }
});

everywhere("stats: pages, growth and searches are counted", (make) => {
  const heap = make();
  const start = heap.stats().counts.growths;
  const large = heap.malloc(2 ** 24);
  // A SharedArrayBuffer has all its bytes from the start.
  assert.equal(heap.stats().counts.growths - start, heap.source.capabilities.canGrow ? 1 : 0);
  heap.free(large);
  const blocks = Array.from({ length: 3000 }, () => heap.malloc(1000));
  const { counts, pages, pageBytes } = heap.stats();
  assert.equal(counts.pages.current, pages);
  assert.equal(counts.pages.total, pages + 1);
  assert.equal(counts.pageBytes.freed, 2 ** 24);
  assert.equal(counts.pageBytes.current, pageBytes);
  assert.ok(counts.searches >= pages && counts.searchedPages >= pages - 1);
  for (const p of blocks) heap.free(p);
  assert.ok(heap.stats().counts.noRetires >= pages - 2);
  heap.collect();
  const end = heap.stats().counts;
  assert.deepEqual([end.pages.current, end.pages.freed], [0, pages + 1]);
  assert.ok(end.pages.peak >= pages);
  assert.equal(end.pageBytes.current, 0);
});

everywhere("statsReset: what is there now is all that ever was", (make) => {
  const heap = make({ statsLevel: 2 });
  const kept = heap.malloc(100);
  for (let i = 0; i < 3000; i++) heap.malloc(200);
  heap.visitBlocks((ptr) => {
    if (ptr !== kept) heap.free(ptr);
  });
  heap.collect();
  resetStats(heap);
  const { sizes, bins, counts, pageBytesPeak, requestedBytes, ...rest } = heap.stats();
  assert.equal(rest.committedBytesPeak, rest.committedBytes);
  const one = (n: number): CountOf => ({ peak: n, total: n, freed: 0, current: n });
  assert.deepEqual(sizes?.normal, { bytes: one(112), blocks: one(1) });
  assert.deepEqual(bins, [{ bin: 11, size: 112, blocks: one(1) }]);
  assert.deepEqual(counts.pages, one(1));
  assert.deepEqual(counts.pageBytes, one(65536));
  assert.deepEqual([counts.extends, counts.searches, counts.growths], [0, 0, 0]);
  assert.deepEqual([pageBytesPeak, requestedBytes], [65536, 0]);
  heap.free(kept);
  heap.free(heap.malloc(5000));
  const after = heap.stats();
  assert.deepEqual(after.sizes?.normal.blocks, { peak: 1, total: 2, freed: 2, current: 0 });
  assert.equal(after.counts.pages.peak, 2);
});

test("the bins of statistics are those of the core", () => {
  const { core } = coreSubject("wasm");
  for (let bin = 1; bin <= 48; bin++) assert.equal(binBytes(bin), core.binSize(bin));
  for (let n = 1; n <= 8192; n += 7) assert.equal(binOfBlock(core.goodSize(n)), core.binOf(n));
  assert.equal(binBytes(binOfBlock(20480)), 20480);
});

/** What a level-2 count must say, from the calls of a program. */
class Model {
  readonly stats = new Map<number, { total: number; now: number; peak: number }>();
  requested = 0;

  came(bytes: number): void {
    const stat = this.stats.get(bytes) ?? { total: 0, now: 0, peak: 0 };
    stat.total += 1;
    stat.now += 1;
    stat.peak = Math.max(stat.peak, stat.now);
    this.stats.set(bytes, stat);
  }

  went(bytes: number): void {
    (this.stats.get(bytes) as { now: number }).now -= 1;
  }
}

interface Live {
  p: number;
  bytes: number;
}

const sizesOf = [16, 100, 1000, 1500, 5000, 9000, 30_000, 60_000, 70_000, 300_000];

function sizeOf(random: Random): number {
  return random.below(sizesOf[random.below(sizesOf.length)] as number) + 1;
}

/** One operation of a heap, or of a heap beside it, in the counters of the model. */
function step(heap: Heap, beside: SubHeap, random: Random, live: Live[], model: Model): void {
  const from = random.below(3) === 0 ? beside : heap;
  const roll = live.length > 400 ? 99 : random.below(100);
  const size = sizeOf(random);
  const at = random.below(Math.max(1, live.length));
  const block = live[at];
  if (roll < 40 || !block) {
    const kind = random.below(3);
    const p =
      kind === 0 ? from.malloc(size) : kind === 1 ? from.zalloc(size) : from.calloc(1, size);
    const bytes = from.usableSize(p);
    model.came(bytes);
    model.requested += size;
    live.push({ p, bytes });
  } else if (roll < 60) {
    const p = from.realloc(block.p, size);
    const bytes = from.usableSize(p);
    if (p !== block.p) {
      model.came(bytes);
      model.requested += size;
      model.went(block.bytes);
    } else if (bytes !== block.bytes) {
      model.went(block.bytes);
      model.came(bytes);
    }
    live[at] = { p, bytes };
  } else {
    from.free(block.p);
    model.went(block.bytes);
    live.splice(at, 1);
  }
}

function assertModel(heap: Heap, model: Model): void {
  const { bins = [], sizes, requestedBytes } = heap.stats();
  const expected = [...model.stats].filter(([bytes]) => bytes <= 65536).sort(([a], [b]) => a - b);
  assert.deepEqual(
    bins.map(({ size, blocks }) => [size, blocks]),
    expected.map(([size, { total, now, peak }]) => {
      return [size, { peak, total, freed: total - now, current: now }];
    }),
  );
  let [blocks, bytes, total] = [0, 0, 0];
  for (const [size, stat] of model.stats) {
    if (size <= 65536) continue;
    blocks += stat.now;
    bytes += stat.now * size;
    total += stat.total * size;
  }
  assert.deepEqual([sizes?.large.blocks.current, sizes?.large.bytes.current], [blocks, bytes]);
  assert.equal(sizes?.large.bytes.total, total);
  assert.equal(requestedBytes, model.requested);
}

everywhere("level 2 counts every block of every call, as a model does", (make) => {
  const seed = seedOf(103);
  const random = new Random(seed);
  const heap = make({ statsLevel: 2 });
  const beside = heap.newHeap();
  const live: Live[] = [];
  const model = new Model();
  for (let i = 0; i < 6000; i++) {
    step(heap, beside, random, live, model);
    if (i % 500 === 0) assertModel(heap, model);
  }
  assertModel(heap, model);
  for (const block of live.splice(0)) {
    if (beside.contains(block.p)) live.push(block);
    else {
      heap.free(block.p);
      model.went(block.bytes);
    }
  }
  beside.destroy();
  for (const { bytes } of live) model.went(bytes);
  assertModel(heap, model);
  assert.equal(heap.stats().sizes?.normal.bytes.current, 0, `seed ${seed}`);
});

everywhere("aligned blocks are counted whole, wherever their pointers are", (make) => {
  const heap = make({ statsLevel: 2 });
  const blocks: number[] = [];
  for (let alignment = 1; alignment <= 2 ** 20; alignment *= 2) {
    for (const size of [1, 100, 3000, 20_000, 100_000]) blocks.push(heap.memalign(alignment, size));
  }
  const { sizes, blocks: count, blockBytes } = heap.stats();
  const current = Object.values(sizes ?? {}).map((kind) => kind.blocks.current);
  assert.equal(current[0]! + current[1]! + current[2]!, count);
  const bytes = Object.values(sizes ?? {}).map((kind) => kind.bytes.current);
  assert.equal(bytes[0]! + bytes[1]! + bytes[2]!, blockBytes);
  for (const p of blocks) heap.free(p);
  const end = heap.stats().sizes;
  for (const { bytes, blocks } of Object.values(end ?? {})) {
    assert.deepEqual([bytes.current, blocks.current], [0, 0]);
  }
});

everywhere("counting changes no address; it can begin and end at any time", (make) => {
  const [plain, counted] = [make(), make()];
  const random = new Random(seedOf(104));
  const live: number[] = [];
  for (let i = 0; i < 4000; i++) {
    if (i % 700 === 350) setStatsLevel(counted, 2);
    if (i % 700 === 0) setStatsLevel(counted, 0);
    const size = sizeOf(random);
    if (random.below(2) === 0 || live.length === 0) {
      const p = plain.malloc(size);
      assert.equal(counted.malloc(size), p);
      live.push(p);
    } else {
      const [p] = live.splice(random.below(live.length), 1);
      plain.free(p as number);
      counted.free(p as number);
    }
  }
  setStatsLevel(counted, 2);
  const { sizes, blocks, blockBytes } = counted.stats();
  const all = Object.values(sizes ?? {});
  assert.equal(
    all.reduce((sum, kind) => sum + kind.blocks.current, 0),
    blocks,
  );
  assert.equal(
    all.reduce((sum, kind) => sum + kind.bytes.current, 0),
    blockBytes,
  );
  const figures = ({ counts, sizes, bins, requestedBytes, ...rest }: HeapStats) => rest;
  assert.deepEqual(figures(counted.stats()), figures(plain.stats()));
});

test("a hardened heap counts its blocks too, in the sizes that they really have", () => {
  for (const backend of backEnds) {
    for (const shared of [false, true]) {
      const heap = anyHeap({
        backend,
        shared: shared as true,
        hardened: {},
        statsLevel: 2,
      });
      const own = heap.newHeap();
      const blocks = Array.from({ length: 3000 }, (_, i) => {
        return i % 7 === 0 ? heap.memalignAt(64, i, 8) : heap.malloc((i * 37) % 40_000);
      });
      for (let i = 0; i < 500; i++) own.malloc(i);
      const { sizes, blocks: live, blockBytes } = heap.stats();
      assert.equal(sizes?.normal.blocks.current, live);
      assert.equal(sizes?.normal.bytes.current, blockBytes);
      for (const [i, p] of blocks.entries()) heap.free(i % 3 === 0 ? heap.realloc(p, i) : p);
      assert.equal(heap.stats().sizes?.normal.blocks.current, 500);
      own.destroy();
      assert.equal(heap.stats().sizes?.normal.bytes.current, 0);
      assert.equal(heap.malloc(100) % 8, 0);
    }
  }
});

test("blocks that another thread frees are counted once", () => {
  for (const backend of backEnds) {
    const heap = anyHeap({ shared: true, backend, maximum: 2 ** 26, statsLevel: 1 });
    const other: SharedHeap = attachAny(heap.handle());
    const blocks = Array.from({ length: 3000 }, (_, i) => heap.malloc((i * 37) % 20_000));
    for (const p of blocks) other.free(p);
    heap.collect();
    const { normal } = heap.stats().sizes ?? {};
    assert.deepEqual([normal?.blocks.total, normal?.blocks.current], [3000, 0]);
    assert.equal(normal?.bytes.current, 0);
  }
});

everywhere("processInfo: of the process and of the heap", (make) => {
  const heap = make();
  heap.malloc(1e6);
  const info = readProcessInfo(heap.stats());
  assert.ok(info.rss > 2 ** 20 && info.peakRss >= info.rss);
  assert.ok(info.user > 0 && info.elapsed >= 0 && info.system >= 0 && info.pageFaults >= 0);
  const { committedBytes } = heap.stats();
  assert.ok(committedBytes >= 2 ** 20);
  assert.deepEqual([info.committed, info.peakCommitted], [committedBytes, committedBytes]);
});

everywhere("C programs: mi_process_info fills eight words, null wants none", (make) => {
  const heap = make({ statsLevel: 2 });
  const words = heap.allocArray(Uint32Array, 9);
  const at = (i: number) => words.ptr + 4 * i;
  words.array.fill(7);
  createAbi(heap).mi_process_info?.(at(0), 0, at(2), at(3), at(4), at(5), at(6), at(7));
  const { committed, peakCommitted } = readProcessInfo(heap.stats());
  const array = [...words.array];
  assert.deepEqual([array[1], array[8]], [7, 7]);
  assert.deepEqual([array[5], array[6]], [committed, peakCommitted]);
  assert.ok((array[3] as number) > 2 ** 20);
  const out: string[] = [];
  registerOutput((text) => out.push(text));
  for (const name of ["stats_print", "stats_print_out", "thread_stats_print_out"]) {
    out.length = 0;
    createAbi(heap)[`mi_${name}`]?.(0, 0);
    assert.match(out.join(""), /normal {3}6: .*\n {3}process: /s);
  }
  createAbi(heap).mi_stats_reset?.();
  createAbi(heap).mi_stats_merge?.();
  createAbi(heap).mi_thread_done?.();
  assert.equal(heap.stats().sizes?.normal.blocks.total, 1);
});

everywhere("wrong levels are refused", (make) => {
  const heap = make();
  const set = (level: unknown) => () => {
    setStatsLevel(heap, level as 0);
  };
  const message = (what: string) => `statsLevel must be 0, 1 or 2, not ${what}`;
  assert.throws(set(3), { name: "RangeError", message: message("3") });
  assert.throws(set("1"), { name: "TypeError", message: message("string") });
  assert.throws(() => make({ statsLevel: -1 as 0 }), {
    name: "RangeError",
    message: message("-1"),
  });
  heap.destroy();
  assert.throws(() => resetStats(heap), { code: /ERR_HEAP_DE/ });
});

test("showStats and destroyOnExit: what the end of the process does", () => {
  const program = `
    import { createHeap, setStatsLevel } from "terrane";
    import { sharedJavascript } from "terrane/javascript";
    import { createSharedHeap } from "terrane/shared";
    const [a, b] = [createHeap(), createSharedHeap({ backend: sharedJavascript })];
    b.destroy();
    const c = createHeap();
    setStatsLevel(c, 1);
    a.malloc(1);
    c.malloc(1);
    process.on("exit", () => {
      try { console.log(a.stats().blocks); } catch (error) { console.log(error.code); }
    });`;
  const run = (env: Record<string, string>) =>
    spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, ...env },
    });
  const quiet = run({});
  assert.deepEqual([quiet.stdout, quiet.stderr], ["1\n", ""]);
  const shown = run({ TERRANE_SHOW_STATS: "1" });
  assert.equal(shown.stderr.match(/^heap stats:/gm)?.length, 2);
  assert.match(shown.stderr, /^ {4}normal: /m);
  assert.equal(run({ TERRANE_DESTROY_ON_EXIT: "yes" }).stdout, "ERR_HEAP_DESTROYED\n");
});
