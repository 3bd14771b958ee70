/** What regions report: leaks, statistics, profiles; expectNoLeaks. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createHeap } from "#src/heap/index.js";
import * as L from "#src/layers/index.js";
import { modules } from "../../support/checkout.js";

const { arena, currentRegion, enter, expectNoLeaks, getGroundRegion, pipe } = L;
const heap = createHeap();
L.setGroundHeap(heap);

function thrown(call: () => unknown): L.LayerError {
  try {
    call();
  } catch (error) {
    return error as L.LayerError;
  }
  return assert.fail("nothing was thrown");
}

test("a region with check names the blocks that were not freed, and frees them", () => {
  const ptrs: number[] = [];
  const error = thrown(() =>
    enter(
      arena,
      () => {
        for (const size of [10, 20, 30]) ptrs.push(currentRegion().malloc(size));
        currentRegion().free(ptrs[1]!);
      },
      { label: "parse", check: true },
    ),
  );
  const [a, , c] = ptrs.map((ptr) => `0x${ptr.toString(16)}`);
  const text = 'region "parse" ended with 2 blocks of 40 bytes not freed:';
  assert.equal(error.message, `${text}\n  ${a}, 10 bytes\n  ${c}, 30 bytes`);
  assert.equal(error.code, "ERR_LEAK");
  assert.deepEqual(error.leaks, [
    { ptr: ptrs[0], size: 10 },
    { ptr: ptrs[2], size: 30 },
  ]);
  assert.equal(heap.stats().blocks, 0);
});

test("long reports end with a count; an error of fn is thrown instead of leaks", () => {
  const leak = (count: number, end: () => void) =>
    enter(
      arena,
      (region) => {
        for (let i = 0; i < count; i++) region.malloc(1);
        end();
      },
      { check: true },
    );
  assert.match(thrown(() => leak(10, () => {})).message, /\n {2}and 2 more$/);
  const mistake = new Error("mine");
  const fail = () => {
    throw mistake;
  };
  assert.equal(
    thrown(() => leak(3, fail)),
    mistake,
  );
});

test("a region with check lists its blocks while it is open", () => {
  enter(
    arena,
    (region) => {
      const ptr = region.memalign(256, 5);
      region.malloc(6);
      assert.deepEqual(region.blocks()[0], { ptr, size: 5 });
      for (const { ptr } of region.blocks()) region.free(ptr);
      assert.deepEqual(region.blocks(), []);
    },
    { check: true },
  );
  enter(arena, (region) => {
    const message = 'region "region" keeps no list of its blocks: enter it with { check: true }';
    assert.throws(() => region.blocks(), { name: "TypeError", message });
  });
});

test("a check layer in the composition reports its own blocks", () => {
  const layer = (source: L.Std) => pipe(source, L.check());
  const error = thrown(() => enter(layer, (region) => void region.malloc(100)));
  assert.match(error.message, /^destroy: 1 block of 116 bytes never put/);
  enter(layer, (region) => region.free(region.malloc(100)));
  assert.equal(heap.stats().blocks, 0);
});

test("statistics count blocks, bytes and their peak as they were asked for", () => {
  enter(
    (source) => pipe(source, L.chunk(4096)),
    (region) => {
      const ptr = region.malloc(100);
      region.malloc(50);
      region.free(ptr);
      region.realloc(region.malloc(10), 500);
      const counted = region.stats();
      const held = 4096 - 550;
      assert.deepEqual(counted, { allocations: 4, frees: 2, bytes: 550, peak: 560, held });
      assert.match(L.formatTree(region.pool), /^chunk\(4096\): 4 got, 2 put, 582 bytes in use/);
    },
  );
});

test("profiles add up regions by label, as a tree", async () => {
  const request = (bytes: number) =>
    enter(
      arena,
      async (region) => {
        region.malloc(bytes);
        await turn();
        enter(arena, (parse) => parse.free(parse.malloc(7)), { label: "parse" });
        region.free(region.malloc(10));
      },
      { label: "request" },
    );
  const before = getGroundRegion().profile();
  assert.deepEqual(before.label, "ground");
  await Promise.all([100, 300, 200].map(request));
  const profile = getGroundRegion()
    .profile()
    .inner.find(({ label }) => label === "request")!;
  const { inner, ...own } = profile;
  assert.deepEqual(own, {
    label: "request",
    regions: 3,
    open: 0,
    allocations: 9, // with the chunk of the region within
    frees: 6,
    dropped: 3,
    total: 600 + 30 + 3 * 16384,
    bytes: 0,
    peak: 300 + 16384,
  });
  assert.equal(inner.length, 1);
  assert.deepEqual([inner[0]!.label, inner[0]!.regions, inner[0]!.peak], ["parse", 3, 7]);
  assert.equal(
    L.formatProfile(profile),
    "request ×3: 9 allocated, 6 freed, 3 dropped, 0 bytes in use, peak 16684\n" +
      "  parse ×3: 3 allocated, 3 freed, 0 dropped, 0 bytes in use, peak 7",
  );
  const open = L.openRegion(arena, { label: "request" });
  open.malloc(1000);
  const now = getGroundRegion()
    .profile()
    .inner.find(({ label }) => label === "request")!;
  assert.deepEqual([now.regions, now.open, now.bytes, now.total - own.total], [4, 1, 1000, 1000]);
  open.destroy();
});

test("expectNoLeaks returns what fn returns, and throws for what fn left", () => {
  assert.equal(
    expectNoLeaks(() => {
      currentRegion().free(currentRegion().malloc(100));
      return "fine";
    }),
    "fine",
  );
  function leaky(): number {
    return currentRegion().malloc(100);
  }
  const error = thrown(() => expectNoLeaks(() => void leaky(), { label: "the parser" }));
  const text = /^region "the parser" ended with 1 block of 100 bytes not freed:\n {2}0x\w+, 100 /;
  assert.match(error.message, text);
  assert.match(error.message, /bytes, allocated\n {4}at leaky .*region-leaks\.test\.ts/);
  assert.doesNotMatch(error.message, /src\/layers|async_hooks/);
  assert.equal(heap.stats().blocks, 0);
  const bare = thrown(() => expectNoLeaks(() => void leaky(), { stacks: false }));
  assert.match(bare.message, /0x\w+, 100 bytes$/);
});

test("expectNoLeaks awaits async functions, ignores escaped blocks and inner regions", async () => {
  await expectNoLeaks(async () => {
    const ptr = currentRegion().malloc(10);
    await turn();
    enter(arena, () => currentRegion().malloc(10));
    currentRegion().free(ptr);
  });
  const kept = expectNoLeaks(() => L.escape(() => currentRegion().malloc(10)));
  currentRegion().free(kept);
  await assert.rejects(
    expectNoLeaks(async () => {
      await turn();
      currentRegion().malloc(10);
    }),
    { code: "ERR_LEAK" },
  );
  const other = expectNoLeaks((region) => region.free(region.malloc(1)), { layer: L.kingsley });
  assert.equal(other, undefined);
});

test("expectNoLeaks fails a test of node:test with the list of leaked blocks", () => {
  const source = `
    import { test } from "node:test";
    import { currentRegion, expectNoLeaks } from ${JSON.stringify(`${modules}layers/index.js`)};
    test("leaky", () => expectNoLeaks(() => void currentRegion().malloc(123)));
  `;
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = spawnSync(process.execPath, ["--input-type=module", "-e", source], {
    encoding: "utf8",
    env,
  });
  assert.equal(run.status, 1);
  assert.match(run.stdout, /ended with 1 block of 123 bytes not freed/);
});
