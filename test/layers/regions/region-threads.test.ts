/** Regions of threads whose ground regions stand on one heap. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { createSharedHeap } from "#src/heap/shared.js";
import {
  arena,
  currentRegion,
  enter,
  openRegion,
  pipe,
  setGroundHeap,
  stats,
} from "#src/layers/index.js";
import { modules } from "../../support/checkout.js";

const heap = createSharedHeap();
setGroundHeap(heap);

/** Runs `body` in a Worker whose ground region stands on the same heap; returns its message. */
async function inWorker(data: object, body: string): Promise<unknown> {
  const source = `
    import { parentPort, workerData } from "node:worker_threads";
    import * as L from "${modules}layers/index.js";
    import { attachHeap } from "${modules}heap/shared.js";
    const heap = attachHeap(workerData.handle);
    L.setGroundHeap(heap);
    const code = (call) => { try { call(); return "none"; } catch (error) { return error.code; } };
    const { data } = workerData;
    ${body}`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const worker = new Worker(url, { workerData: { handle: heap.handle(), data } });
  // Listening to both from the start: a Worker that ends at once gives both in one go.
  const [[message]] = await Promise.all([once(worker, "message"), once(worker, "exit")]);
  return message;
}

const counting = (source: Parameters<typeof arena>[0]) => pipe(source, stats());

test("blocks of another thread's regions are refused, and nothing is miscounted", async () => {
  const region = openRegion(counting, { label: "main" });
  const blocks = [
    region.malloc(100),
    currentRegion().malloc(50),
    enter(arena, () => region.malloc(7)),
  ];
  for (let round = 0; round < 5; round++) {
    const codes = await inWorker(
      { blocks },
      `const region = L.openRegion((source) => L.pipe(source, L.stats()));
       const own = region.malloc(10);
       const regions = [region, L.currentRegion(), ...Array.from({ length: 20 }, () => L.openRegion(L.arena))];
       const codes = regions.flatMap((each) => data.blocks.flatMap((ptr) => [
         code(() => each.free(ptr)), code(() => each.realloc(ptr, 1000)), code(() => each.usableSize(ptr)),
         code(() => each.ownerOf(ptr))]));
       const { bytes } = region.stats();
       for (const each of regions) if (each.outer) each.destroy();
       parentPort.postMessage([[...new Set(codes)], bytes]);`,
    );
    assert.deepEqual(codes, [["ERR_NOT_A_BLOCK"], 10]);
  }
  assert.equal(region.stats().bytes, 107);
  for (const ptr of blocks) region.free(ptr);
  region.destroy();
  assert.equal(currentRegion().stats().bytes, 0);
});

test("addresses and bytes cross: a thread reads and writes blocks of another one's region", async () => {
  const region = openRegion(arena);
  const ptr = region.malloc(64);
  region.u8[ptr] = 1;
  const seen = await inWorker(
    { ptr },
    `const { u8 } = L.currentRegion();
     const seen = u8[data.ptr];
     u8[data.ptr] = 2;
     parentPort.postMessage(seen);`,
  );
  assert.deepEqual([seen, region.u8[ptr]], [1, 2]);
  region.destroy();
});

test("the text of the refusal says who frees the block", async () => {
  const ptr = currentRegion().malloc(10);
  const text = await inWorker(
    { ptr },
    `try { L.currentRegion().free(data.ptr); } catch (error) { parentPort.postMessage(error.message); }`,
  );
  assert.match(String(text), /of this thread; the thread that allocated a block frees/);
  currentRegion().free(ptr);
});
