/** What templates and console.log show of pools, allocators, regions and heaps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { debug } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import * as L from "#src/layers/index.js";

const { arena, chunk, createAllocator, freelist, limit, openRegion, pipe, segregated, stats, std } =
  L;

test("a pool shows its layers, and what is in use where they count", () => {
  const pool = pipe(std(createHeap()), chunk(), stats(), segregated());
  pool.get(100);
  const text = String(pool);
  assert.match(text, /^segregated.* over stats \(\d+ bytes in use\) over chunk.* over std$/);
  assert.equal(`${pool}`, text);
  assert.equal(inspect(pool), `Pool <${text}>`);
  const base = std(createHeap());
  assert.match(String(L.hybrid(64, L.ground()(base), base)), /\[ground over std, std\]/);
});

test("heaps, allocators, debug allocators and regions show what they are", () => {
  const heap = createHeap();
  assert.match(`${heap}`, /^\w*Heap over \d+ KiB$/);
  assert.equal(inspect(heap), `[${heap}]`);
  assert.equal(inspect({ heap }), `{ heap: [${heap}] }`);
  assert.match(`${createAllocator(arena(std(heap)))}`, /^Allocator over .*zone.* over std$/);
  const debugged = debug(createHeap());
  assert.match(inspect(debugged), /^\[DebugAllocator over \d+ KiB\]$/);
  debugged.destroy();
  assert.match(inspect(debugged), /^\[DebugAllocator/);
  const region = openRegion(arena, { label: "level" });
  region.malloc(10);
  assert.equal(`${region}`, 'Region "level" (10 bytes in use)');
  region.destroy();
  assert.equal(inspect(region), '[Region "level" (ended)]');
});

test("pipe takes any number of layers", () => {
  const base = std(createHeap());
  const pool = pipe(
    base,
    stats(),
    stats(),
    stats(),
    stats(),
    stats(),
    stats(),
    stats(),
    stats(),
    freelist(64),
    ...Array.from({ length: 12 }, () => stats()),
    limit(2000),
  );
  const ptr = pool.get(100);
  assert.ok(ptr > 0);
  assert.equal(String(pool).match(/stats/g)?.length, 20);
  pool.put(ptr, 100);
});
