/** Regions across await: rejections, interleaving, Workers, and platforms without async context. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { setImmediate as turn, setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { createHeap } from "#src/heap/index.js";
import * as L from "#src/layers/index.js";
import { modules } from "../../support/checkout.js";
import { Random, seedOf } from "../../support/random.js";

const { arena, currentRegion, enter, getGroundRegion } = L;
const heap = createHeap();
L.setGroundHeap(heap);
const layersUrl = `${modules}layers/index.js`;

test("a region stays current across await and ends when the promise settles", async () => {
  const promise = enter(arena, async (region) => {
    await turn();
    assert.equal(currentRegion(), region);
    currentRegion().malloc(100);
    await wait(1);
    assert.equal(currentRegion(), region);
    return "answer";
  });
  assert.equal(currentRegion(), getGroundRegion());
  assert.equal(heap.stats().blocks, 0, "nothing is allocated before the first await");
  assert.equal(await promise, "answer");
  assert.equal(heap.stats().blocks, 0);
});

test("a rejected promise frees what is left, and its error is passed on", async () => {
  const mistake = new Error("mine");
  const promise = enter(arena, async () => {
    currentRegion().malloc(100);
    await turn();
    throw mistake;
  });
  assert.equal(heap.stats().blocks, 1);
  await assert.rejects(promise, (error) => error === mistake);
  assert.equal(heap.stats().blocks, 0);
});

test("any thenable counts as a promise", async () => {
  const thenable = {
    // biome-ignore lint/suspicious/noThenProperty: it is what is tested
    then(done: (value: number) => void) {
      setTimeout(done, 1, 7);
    },
  };
  const seven = enter(arena, (region) => {
    region.malloc(10);
    return thenable as PromiseLike<number>;
  });
  assert.equal(heap.stats().blocks, 1);
  assert.equal(await seven, 7);
  assert.equal(heap.stats().blocks, 0);
});

const layers: L.RegionLayer[] = [
  arena,
  L.kingsley,
  L.lea,
  L.bypass(),
  (source) => L.pipe(source, L.chunk(4096), L.segregated(), L.stats()),
  (source) => L.pipe(source, L.batch(), L.fill()),
];

/** One of the scopes: allocates, waits, nests, escapes, and ends in one of four ways. */
async function scope(random: Random, depth: number): Promise<number> {
  const layer = layers[random.below(layers.length)]!;
  const kept: number[] = [];
  const work = enter(layer, async (region) => {
    const live = new Map<number, number>();
    for (let i = random.between(3, 12); i > 0; i--) {
      assert.equal(currentRegion(), region);
      const [size, mark] = [random.below(3000), random.below(256)];
      const ptr = currentRegion().malloc(size + 1);
      region.u8.fill(mark, ptr, ptr + size + 1);
      live.set(ptr, mark);
      if (random.chance(30)) kept.push(L.escape(() => currentRegion().malloc(10)));
      if (depth > 0 && random.chance(30)) await scope(random, depth - 1).catch(() => {});
      if (random.chance(50)) await turn();
      else if (random.chance(30)) await wait(random.below(3));
      for (const [p, m] of live) assert.equal(region.u8[p], m, "the bytes of another block");
      if (random.chance(20)) {
        region.free(ptr);
        live.delete(ptr);
      }
    }
    if (random.chance(25)) throw new Error("on purpose");
    if (random.chance(25)) return await Promise.reject(new Error("on purpose"));
    return live.size;
  });
  try {
    return await work;
  } catch (error) {
    assert.equal((error as Error).message, "on purpose");
    return 0;
  } finally {
    for (const ptr of kept) currentRegion().free(ptr);
  }
}

test("100 scopes at once, interleaved and nested, leave nothing", async (t) => {
  const seed = seedOf(7100);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  await Promise.all(Array.from({ length: 100 }, (_, i) => scope(new Random(seed + i), 2)));
  assert.equal(currentRegion(), getGroundRegion());
  assert.equal(heap.stats().blocks, 0);
  const profile = getGroundRegion().profile();
  assert.equal(profile.bytes, 0);
  assert.equal(profile.inner[0]!.open, 0);
  assert.ok(profile.inner[0]!.regions >= 100);
});

test("work that outlives its region allocates in the region around it", async () => {
  let late: Promise<number> | undefined;
  enter(arena, () => {
    late = turn().then(() => currentRegion().malloc(10));
  });
  const ptr = await late!;
  assert.equal(currentRegion().ownerOf(ptr), getGroundRegion());
  currentRegion().free(ptr);
});

test("an inner async scope that is not awaited ends with the outer one", async () => {
  let inner: Promise<unknown> | undefined;
  const outer = () =>
    enter(arena, () => {
      inner = enter(
        arena,
        async (region) => {
          await turn();
          return region.malloc(10);
        },
        { label: "forgotten" },
      );
    });
  assert.throws(outer, { code: "ERR_REGION_OPEN", message: /open: "forgotten"$/ });
  await assert.rejects(inner!, { code: "ERR_REGION_ENDED" });
  assert.equal(heap.stats().blocks, 0);
});

test("using in an async function holds across await", async () => {
  async function handler(): Promise<void> {
    await turn();
    using region = enter(arena);
    currentRegion().malloc(10);
    await turn();
    assert.equal(currentRegion(), region);
    await Promise.all([turn(), wait(1)]);
    assert.equal(currentRegion().ownerOf(currentRegion().malloc(10)), region);
  }
  await Promise.all(Array.from({ length: 20 }, handler));
  assert.equal(currentRegion(), getGroundRegion());
  assert.equal(heap.stats().blocks, 0);
});

test("each Worker has a ground region and regions of its own", async () => {
  const source = `
    import { parentPort } from "node:worker_threads";
    const L = await import(${JSON.stringify(layersUrl)});
    const before = L.getGroundRegion().stats().allocations;
    const kept = L.enter(L.arena, () => {
      for (let i = 0; i < 500; i++) L.currentRegion().malloc(i);
      return L.escape(() => L.currentRegion().allocString("from a worker"));
    });
    await L.enter(L.kingsley, async () => {
      await null;
      L.currentRegion().malloc(10);
    });
    const { bytes, allocations, frees } = L.getGroundRegion().stats();
    const text = L.ambient.readString(kept.ptr, kept.length);
    parentPort.postMessage({ before, bytes, left: allocations - frees, text });
  `;
  const here = getGroundRegion().stats().allocations;
  const run = () =>
    new Promise((resolve, reject) => {
      const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
      new Worker(url).once("message", resolve).once("error", reject);
    });
  const answers = await Promise.all([run(), run()]);
  for (const answer of answers) {
    assert.deepEqual(answer, { before: 0, bytes: 13, left: 1, text: "from a worker" });
  }
  assert.equal(getGroundRegion().stats().allocations, here);
});

test("without async context: synchronous scopes, and the region across await", () => {
  const source = `
    delete process.getBuiltinModule;
    process.getBuiltinModule = undefined;
    const { arena, currentRegion, enter, escape, getGroundRegion, runIn, regionsCrossAwait } =
      await import(${JSON.stringify(layersUrl)});
    const seen = [regionsCrossAwait];
    enter(arena, (a) => {
      seen.push(currentRegion() === a);
      seen.push(enter(arena, (b) => currentRegion() === b), currentRegion() === a);
      escape(() => seen.push(currentRegion() === getGroundRegion()));
    });
    const scoped = enter(arena);
    seen.push(currentRegion() === scoped);
    scoped.destroy();
    seen.push(currentRegion() === getGroundRegion());
    const answer = await enter(arena, async (region) => {
      seen.push(currentRegion() === region);
      await null;
      seen.push(currentRegion() === getGroundRegion());
      seen.push(runIn(region, () => currentRegion() === region));
      return region.ownerOf(region.malloc(10)) === region;
    });
    const { bytes, allocations, frees } = getGroundRegion().stats();
    seen.push(answer, bytes === 0 && allocations === frees && frees > 0);
    console.log(JSON.stringify(seen));
  `;
  const printed = execFileSync(process.execPath, ["--input-type=module", "-e", source], {
    encoding: "utf8",
    cwd: fileURLToPath(new URL("../../../../", import.meta.url)),
  });
  assert.deepEqual(JSON.parse(printed), [false, ...Array.from({ length: 11 }, () => true)]);
});
