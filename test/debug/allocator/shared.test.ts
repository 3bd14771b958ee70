/** A debug allocator for threads that share a heap: real Workers, in both back ends. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import {
  attachDebug,
  type DebugAllocator,
  type DebugOptions,
  debug,
  type Report,
} from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { anyHeap } from "../../support/any-heap.js";
import { type Profile, profiles, Shadow, step, typedVerbs } from "../../support/model.js";
import { Random, seedOf } from "../../support/random.js";

const TRADES = Number(process.env.TERRANE_OPERATIONS ?? 800);

function shared(backend: "wasm" | "js", options: DebugOptions = {}) {
  const reports: Report[] = [];
  const heap = anyHeap({ shared: true, backend, maximum: 2 ** 28 });
  const debugged = debug(heap, {
    threadSafe: true,
    reportAtExit: false,
    onReport: (report) => reports.push(report),
    ...options,
  });
  return { heap, debugged, reports, texts: () => reports.splice(0).map(String) };
}

/** A Worker that can be told what to do. */
class Partner {
  readonly worker: Worker;

  constructor(debugged: DebugAllocator, meeting?: SharedArrayBuffer) {
    const url = new URL("./shared-worker.js", import.meta.url);
    this.worker = debugged.startWorker(
      (handle) => new Worker(url, { workerData: { handle, meeting } }),
    );
  }

  async tell(call: string, ...args: number[]): Promise<{ answer: never; reports: string[] }> {
    this.worker.postMessage({ call, args });
    const [answer] = await once(this.worker, "message");
    return answer;
  }

  async ask(call: string, ...args: number[]): Promise<number> {
    const { answer, reports } = await this.tell(call, ...args);
    assert.deepEqual(reports, []);
    return answer;
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }
}

const file = /\((?:file:\/\/)?\/.*\/(shared[-.a-z]*\.ts):\d+:\d+\)/g;

/** Without places of frames and lines of source, which differ between machines. */
function plain(text: string): string[] {
  const lines = text.replaceAll(file, "($1)").split("\n");
  const kept = lines.filter((line) => !/^ {6}/.test(line));
  const frames = kept.filter((line) => /^ {4}at/.test(line));
  assert.ok(frames.length > 0 || text.includes("no stack"));
  // The innermost frame of each stack says enough.
  return kept.filter((line, i) => !/^ {4}at/.test(line) || !/^ {4}at/.test(kept[i - 1] ?? ""));
}

for (const backend of ["wasm", "js"] as const) {
  test(`${backend}: a block may be freed and resized by another thread`, async () => {
    const { heap, debugged, texts } = shared(backend);
    const partner = new Partner(debugged);
    const theirs = await partner.ask("malloc", 100);
    assert.equal(debugged.usableSize(theirs), 100);
    assert.ok(debugged.contains(theirs + 50));
    assert.equal(debugged.stats().blocks, 1);
    debugged.u8.fill(7, theirs, theirs + 100);
    const moved = debugged.realloc(theirs, 5000);
    assert.ok(debugged.u8.subarray(moved, moved + 100).every((byte) => byte === 7));
    assert.equal(await partner.ask("size", moved), 5000);
    await partner.ask("free", moved);
    assert.deepEqual([debugged.stats().blocks, debugged.stats().requestedBytes], [0, 0]);
    assert.equal(await partner.ask("destroy"), "ok");
    await partner.end();
    assert.equal(debugged.destroy(), "ok");
    assert.deepEqual(texts(), []);
    assert.equal(debugged.stats().residentBytes, 0);
    heap.collect(true);
    assert.equal(heap.stats().blocks, 0);
  });

  test(`${backend}: mistakes across threads name the threads and their stacks`, async () => {
    const { debugged, texts } = shared(backend);
    const partner = new Partner(debugged);
    const { threadId } = partner.worker;
    for (const size of [100, 100_000]) {
      const theirs = await partner.ask("malloc", size);
      const at = `0x${theirs.toString(16)}`;
      debugged.free(theirs);
      const { reports } = await partner.tell("free", theirs);
      assert.deepEqual(plain(reports.join("\n")), [
        `double free of the block of ${size} bytes at ${at}`,
        `  allocated by thread ${threadId}:`,
        "    at allocateHere (shared-worker.ts)",
        "  freed first by thread 0:",
        "    at TestContext.<anonymous> (shared.test.ts)",
        `  freed again by thread ${threadId}:`,
        "    at freeHere (shared-worker.ts)",
      ]);
      const mine = await partner.ask("malloc", size);
      await partner.ask("write", mine + size);
      debugged.free(mine);
      const past = plain(texts().join("\n"));
      assert.match(past[0] as string, /^write past the end of the block/);
      assert.deepEqual(past.slice(1, 4), [
        `  allocated by thread ${threadId}:`,
        "    at allocateHere (shared-worker.ts)",
        "  found by thread 0:",
      ]);
      await partner.ask("write", mine + 5);
      debugged.check();
      const late = plain(texts().join("\n"));
      assert.match(late[0] as string, /^write to the block of \d+ bytes at \w+ after it was freed/);
      assert.equal(late[3], "  freed by thread 0:");
    }
    const inner = await partner.tell("free", (await partner.ask("malloc", 50)) + 8);
    assert.match(inner.reports[0] as string, /^free of \w+, 8 bytes into the block of 50 bytes/);
    const outside = await partner.tell("free", 24);
    assert.match(
      outside.reports[0] as string,
      /^free of 0x18, which is not a block; \d+ bytes before/,
    );
    await partner.end();
  });

  test(`${backend}: leaks name the thread that allocated, also when it is gone`, async () => {
    const { debugged, texts } = shared(backend);
    const partners = [new Partner(debugged), new Partner(debugged)];
    const [first, second] = partners.map(({ worker }) => worker.threadId);
    for (const [index, partner] of partners.entries()) {
      for (let i = 0; i < 2; i++) await partner.ask("malloc", 300 - index);
    }
    debugged.malloc(10);
    const [a, b] = partners as [Partner, Partner];
    a.worker.postMessage({ call: "exit", args: [] });
    await once(a.worker, "exit");
    await b.end(); // terminated, without a word
    assert.equal(debugged.destroy(), "leak");
    const [text] = texts() as [string];
    const lines = plain(text);
    assert.equal(lines[0], "leak: 5 blocks of 1208 bytes never freed");
    assert.match(lines[1] as string, new RegExp(`^  2 blocks of 600 .* by thread ${first}:$`));
    assert.equal(lines[2], "    at allocateHere (shared-worker.ts)");
    assert.match(lines[3] as string, new RegExp(`^  2 blocks of 598 .* by thread ${second}:$`));
    assert.match(lines[5] as string, /^ {2}1 block of 10 bytes .* by thread 0:$/);
    assert.throws(() => debugged.destroy(), { code: "ERR_HEAP_DESTROYED" });
  });

  test(`${backend}: threads that trade blocks at the same time make no mistake`, async (t) => {
    const seed = seedOf(9900);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const { heap, debugged, texts } = shared(backend, { quarantine: 400_000, stackTraceFrames: 2 });
    const meeting = new SharedArrayBuffer(4 * 64);
    const partners = [0, 1, 2].map(() => new Partner(debugged, meeting));
    const met = await Promise.all(
      partners.map((partner, index) => partner.ask("trade", seed + index, TRADES)),
    );
    assert.ok(met.every((count) => count > TRADES / 2));
    const left = [...new Uint32Array(meeting)].filter((ptr) => ptr !== 0);
    assert.equal(debugged.stats().blocks, left.length);
    debugged.check();
    for (const ptr of left) debugged.free(ptr);
    assert.equal(debugged.stats().requestedBytes, 0);
    for (const partner of partners) {
      await partner.ask("destroy");
      await partner.end();
    }
    assert.equal(debugged.destroy(), "ok");
    assert.deepEqual(texts(), []);
    heap.collect(true);
    assert.equal(heap.stats().blocks, 0);
  });

  test(`${backend}: one of two threads that free a block at once is told`, async () => {
    const { debugged, reports } = shared(backend, { stackTraceFrames: 0 });
    const partner = new Partner(debugged);
    let told = 0;
    for (let round = 0; round < 20; round++) {
      const ptr = debugged.malloc(64);
      const answer = partner.tell("free", ptr);
      debugged.free(ptr);
      told += (await answer).reports.length;
    }
    assert.equal(told + reports.length, 20);
    assert.ok(reports.every(({ code }) => code === "ERR_DOUBLE_FREE"));
    assert.equal(debugged.stats().blocks, 0);
    await partner.end();
    assert.equal(debugged.destroy(), "ok");
  });
}

test("one thread alone: random runs keep blocks apart and report nothing", (t) => {
  const seed = seedOf(9910);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  for (const options of [{}, { retainMetadata: true, quarantine: 0 }, { neverUnmap: true }]) {
    for (const number of [1, 3, 4]) {
      const { debugged, texts } = shared("wasm", { stackTraceFrames: 1, ...options });
      const shadow = new Shadow(typedVerbs(debugged));
      const random = new Random(seed);
      const profile = { ...(profiles[number] as Profile), live: 150 };
      for (let i = 0; i < 800; i++) step(shadow, profile, random);
      debugged.check();
      shadow.freeAll();
      assert.equal(debugged.destroy(), "ok");
      assert.equal(debugged.stats().residentBytes, 0);
      assert.deepEqual(texts(), []);
    }
  }
});

test("heaps beside, limits, samples and collect work for threads too", () => {
  const { heap, debugged, reports } = shared("wasm", {
    enableMemoryLimit: true,
    requestedMemoryLimit: 1000,
    retainMetadata: true,
  });
  const scratch = debugged.newHeap();
  const other = attachDebug(debugged.handle(), { onReport: (report) => reports.push(report) });
  assert.notEqual(other.newHeap().id, scratch.id);
  const ptr = scratch.malloc(600);
  assert.equal(other.malloc(600), 0);
  assert.equal(other.realloc(ptr, 1200), 0);
  other.free(other.realloc(other.malloc(300), 350));
  assert.equal(debugged.expand(ptr, 605), ptr);
  scratch.destroy();
  assert.equal(debugged.stats().requestedBytes, 0);
  debugged.collect();
  other.collect();
  assert.equal(debugged.stats().residentBytes, 0);
  assert.deepEqual(
    reports.splice(0).map(({ code }) => code),
    ["ERR_MEMORY_LIMIT", "ERR_MEMORY_LIMIT"],
  );
  debugged.free(ptr);
  assert.equal(reports[0]?.code, "ERR_DOUBLE_FREE");
  debugged.flushRetainedMetadata();
  debugged.setRequestedMemoryLimit(5000);
  other.free(other.malloc(4000));
  other.destroy();
  assert.throws(() => other.malloc(1), { code: "ERR_HEAP_DESTROYED" });
  assert.equal(debugged.destroy(), "ok");
  assert.equal(heap.stats().blocks, 0);

  const sampled = shared("wasm", { sampleEvery: 20, seed: 1 });
  const ptrs = Array.from({ length: 1000 }, (_, i) => sampled.debugged.malloc(i));
  const { blocks } = sampled.debugged.stats();
  assert.ok(blocks > 20 && blocks < 100);
  for (const each of ptrs) sampled.debugged.free(each);
  assert.equal(sampled.debugged.destroy(), "ok");
  assert.deepEqual(sampled.texts(), []);
});

test("what cannot be shared is refused", () => {
  assert.throws(() => debug(createHeap(), { threadSafe: true }), {
    name: "TypeError",
    message: "threadSafe needs a heap that threads share: createSharedHeap()",
  });
  assert.throws(() => debug(createHeap()).handle(), {
    name: "TypeError",
    message: /^(handle needs a debug allocator with threadSafe|threadSafe needs a heap)/,
  });
  assert.throws(() => attachDebug(undefined as never), {
    name: "TypeError",
    message: "handle must come from handle() of a debug allocator",
  });
  const { debugged } = shared("wasm");
  assert.throws(() => attachDebug({ ...debugged.handle(), terraneDebug: 7 }), {
    name: "RangeError",
    message: "handle of version 7, not 1: all threads need one terrane",
  });
  assert.throws(
    () => shared("wasm", { threadState: new Int32Array(1) }),
    /threadState is for an allocator of one thread/,
  );
});
