/** Four Workers on one heap that free each other's blocks; with and without sudden deaths. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import type { BackEnd } from "#src/heap/calls/contract.js";

import type { SharedHeap } from "#src/heap/shared.js";
import { anyHeap } from "../support/any-heap.js";
import { backEnds, coreOn } from "../support/core.js";
import { Crew } from "../support/crew.js";
import { ALL } from "../support/hard.js";
import { Random, seedOf } from "../support/random.js";
import * as S from "../support/stress.js";

const WORKERS = 4;
const OPERATIONS = Number(process.env.TERRANE_STRESS ?? 10000000);
const KILLS = Number(process.env.TERRANE_KILLS ?? 200);

const url = new URL("../support/stress-worker.js", import.meta.url);

interface Stress {
  heap: SharedHeap;
  words: Int32Array;
  random: Random;
}

function stressOf(backend: "wasm" | "js", seed: number, hardened = false): Stress {
  const heap = anyHeap({
    shared: true,
    backend,
    maximum: 2 ** 29,
    hardened: hardened ? {} : undefined,
  });
  return { heap, words: S.stressWords(WORKERS), random: new Random(seed) };
}

function start({ heap, words, random }: Stress, table: number, operations: number): Worker {
  const seed = random.u32();
  const rest = { words: words.buffer as SharedArrayBuffer, table, seed, operations, fault: 0 };
  return heap.startWorker((handle) => new Worker(url, { workerData: { handle, ...rest } }));
}

/** Frees what dead Workers have left in the words, and what was not taken out of the exchange. */
function sweep({ heap, words }: Stress): void {
  for (let word = S.WORD_EXCHANGE; word < words.length; word++) {
    const p = Atomics.exchange(words, word, 0) >>> 0;
    if (p === 0) continue;
    S.marked(heap.u32, p);
    heap.free(p);
  }
}

function assertValid({ heap }: Stress): void {
  const core = coreOn("wasm", heap.source, heap.hardening && { bits: ALL });
  assert.ok(core.stateIsValid(), "stateIsValid");
  core.heapCollect(true);
  assert.ok(core.heapIsValid(), "heapIsValid");
  core.threadDetach();
}

const runs = [
  ...backEnds.map((backend) => ({
    name: backend as string,
    backend,
    operations: OPERATIONS,
    hardened: false,
  })),
  {
    name: "wasm, hardened",
    backend: "wasm" as BackEnd,
    operations: OPERATIONS / 20,
    hardened: true,
  },
];

for (const { name, backend, operations, hardened } of runs) {
  test(`${name}: row 60: ${WORKERS} Workers free each other's blocks, and none is lost`, async (t) => {
    const seed = seedOf(6000);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const stress = stressOf(backend, seed, hardened);
    const workers = Array.from({ length: WORKERS }, (_, i) =>
      start(stress, i, Math.ceil(operations / WORKERS)),
    );
    const codes = await Promise.all(workers.map((worker) => once(worker, "exit")));
    assert.deepEqual(codes.flat(), [0, 0, 0, 0]);
    sweep(stress);
    if (backend === "wasm") assertValid(stress);
    stress.heap.collect(true);
    const { blocks, pageBytes, threads, heapBytes } = stress.heap.stats();
    assert.deepEqual({ blocks, pageBytes, threads }, { blocks: 0, pageBytes: 0, threads: 1 });
    t.diagnostic(`${Atomics.load(stress.words, S.WORD_DONE)} operations, ${heapBytes} bytes`);
    stress.heap.detach();
  });
}

/** The Workers make so many operations together while they are terminated. */
const WORK_LEAST = 20_000;
/** Rests of 25 ms for Workers that a busy machine has not let work yet. */
const RESTS_MOST = 40;

/** What a death may lose: the block on its way to its word, and the list that was being taken. */
const LOST_BYTES = 600000 + 65536;

async function killMany(t: TestContext, kills: number, hardened: boolean): Promise<void> {
  const seed = seedOf(6100);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const stress = stressOf("wasm", seed, hardened);
  const crew = new Crew(stress, WORKERS);
  const worked = () => Atomics.load(stress.words, S.WORD_DONE);
  try {
    for (let kill = 0; kill < kills; kill++) {
      await crew.rest(stress.random.below(30));
      const share = (WORK_LEAST * (kill + 1)) / kills;
      for (let i = 0; i < RESTS_MOST && worked() <= share; i++) await crew.rest(25);
      await crew.replace(stress.random.below(WORKERS));
    }
    await crew.finish();
  } finally {
    await crew.stop();
  }
  sweep(stress);
  stress.heap.collect(true);
  const { blocks, blockBytes, threads } = stress.heap.stats();
  assert.equal(threads, 1);
  const done = worked();
  t.diagnostic(
    `${done} operations, ${blocks} blocks of ${blockBytes} bytes lost by ${kills} kills`,
  );
  assert.ok(done > WORK_LEAST, "the Workers were at work");
  assert.ok(blockBytes <= kills * LOST_BYTES, `${blockBytes} bytes lost`);
  assertValid(stress);
  stress.heap.detach();
}

test("a Worker that fails ends the test with its error while others work on", async () => {
  const crew = new Crew({ ...stressOf("wasm", 1), fault: 5000 }, 2);
  await assert.rejects(crew.rest(60000), /Worker 0, at .*: Error: a deliberate fault/);
  assert.match(await crew.picture(), /Worker 0: stands.*\n.*Worker 1: goes on/);
  await crew.stop();
});

for (const [name, kills, hardened] of [
  ["", KILLS, false],
  ["hardened: ", Math.ceil(KILLS / 8), true],
] as const) {
  test(`${name}${kills} Workers are terminated at random instants, and the others' counters are right`, (t) =>
    killMany(t, kills, hardened));
}
