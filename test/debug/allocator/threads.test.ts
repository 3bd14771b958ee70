/** An allocator belongs to the thread that made it; a word of shared memory says who that is. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { debug } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";

async function stranger(state: SharedArrayBuffer): Promise<{ ptr: number; messages: string[] }> {
  const worker = new Worker(new URL("./stranger.js", import.meta.url), { workerData: state });
  // Listening to both from the start: a Worker that ends at once gives both in one go.
  const [[answer]] = await Promise.all([once(worker, "message"), once(worker, "exit")]);
  return { ...answer, thread: worker.threadId };
}

test("a Worker that uses the state of another thread is reported, and gets no block", async () => {
  const state = new SharedArrayBuffer(4);
  const debugged = debug(createHeap({ backend: javascript }), {
    threadState: new Int32Array(state),
    reportAtExit: false,
    onReport: (report) => assert.fail(report.message),
  });
  const ptr = debugged.malloc(10);
  const { ptr: answered, messages } = await stranger(state);
  assert.equal(answered, 0);
  const [first] = messages as [string];
  const user = /thread (\d+) of/.exec(first)?.[1];
  assert.notEqual(user, "0");
  assert.deepEqual(
    messages,
    ["malloc", "free", "destroy"].map(
      (call) => `${call} by thread ${user} of an allocator of thread 0`,
    ),
  );
  debugged.free(ptr);
  assert.equal(debugged.destroy(), "ok");
  // After destroy the state belongs to nobody, and the next thread may have it.
  const next = await stranger(state);
  assert.notEqual(next.ptr, 0);
  assert.equal(next.messages.length, 1);
  assert.match(next.messages[0] as string, /^free of 0x20010, which is not a block|^double free/);
});

test("one thread is never a stranger, also to several allocators of one state", () => {
  const threadState = new Int32Array(new SharedArrayBuffer(4));
  for (let round = 0; round < 3; round++) {
    const debugged = debug(createHeap(), { threadState, reportAtExit: false, onReport: "throw" });
    debugged.free(debugged.malloc(1));
    assert.equal(threadState[0], 1);
  }
});
