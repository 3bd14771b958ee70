/** Traces whose threads run at the same time, each in a Worker of its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createSharedHeap } from "#src/heap/shared.js";
import { findTraceAllocator, ReplayError, readTrace, runReplay } from "#src/trace/index.js";
import { heapCheck } from "#src/trace/team.js";
import { parse } from "./traces.js";

const shared = ["terrane-shared", "terrane-shared-js"];
const options = { rounds: 1, threads: true };

for (const name of shared) {
  test(`${name}: the trace of three threads is replayed by three Workers`, async () => {
    const trace = await readTrace("bench/traces/git-repack-3-threads.trace.gz");
    const [result] = await runReplay(trace, [findTraceAllocator(name)], options);
    assert.equal(result?.threads, 3);
    assert.equal(result?.operations, 32_524);
    assert.ok(result.opsPerSecond > 0);
    // Threads that run at once have more or less live than threads that run in turn.
    const { peakLiveBytes } = trace.facts;
    assert.ok(result.peakLiveBytes > peakLiveBytes / 2, `${result.peakLiveBytes}`);
    assert.ok(result.peakLiveBytes < peakLiveBytes * 3, `${result.peakLiveBytes}`);
    assert.ok(result.peakBytes > result.peakLiveBytes);
  });

  test(`${name}: every operation on another thread's block`, async () => {
    const text =
      "m 1 100\nc 2 5 300\na 3 4096 70000\nm 4 0\nt 1\nr 1 5 900\nf 2\nr 3 6 10\nr 0 7 50000\n" +
      "t 2\nf 4\nr 5 8 0\nr 7 9 400000\nm 10 9\nt 0\nf 8\nf 10\nt 3\nf 9\n";
    const [result] = await runReplay(parse(text), [findTraceAllocator(name)], options);
    assert.equal(result?.threads, 4);
    assert.equal(result?.operations, 15);
  });

  test(`${name}: a trace of one thread has the peak of its order`, async () => {
    const trace = parse("m 1 1000\nm 2 500\nf 1\nm 3 700\nf 2\nm 4 10\n");
    const [result] = await runReplay(trace, [findTraceAllocator(name)], options);
    assert.equal(result?.threads, 1);
    assert.equal(result?.peakLiveBytes, 1500);
  });
}

test("an allocator that threads cannot share is refused", async () => {
  const run = runReplay(parse("m 1 8\n"), [findTraceAllocator("dlmalloc")], options);
  await assert.rejects(run, { name: "ReplayError", message: /^dlmalloc cannot be shared/ });
});

test("what is left after a replay is told", () => {
  const heap = createSharedHeap();
  heapCheck(heap, "x.trace: terrane-shared");
  const block = heap.malloc(100);
  assert.throws(
    () => heapCheck(heap, "x.trace: terrane-shared"),
    new ReplayError(
      "x.trace: terrane-shared: after the replay 1 blocks, 1 pages and 0 threads are left",
    ),
  );
  heap.free(block);
  heapCheck(heap, "x.trace: terrane-shared");
});
