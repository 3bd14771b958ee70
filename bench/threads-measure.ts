/** Runs one workload in several Workers over one memory and takes the time. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { SEED } from "./catalogue.ts";
import { collect, STEADY_RUNS, WARM_UP_RUNS, zeroedTable } from "./measure.ts";
import type { Measurement } from "./serve.ts";
import { median } from "./stats.ts";
import type { Owner, SharedAllocator } from "./threads-allocators.ts";

/** Pairs of malloc and free for each Worker, multiples of 100 and of 32; rounds of the first two. */
const OPERATIONS = {
  compute: 16_000_000,
  handover: 200_000,
  private: 800_000,
  fifo: 800_000,
  produce_consume: 800_000,
  xmalloc: 800_000,
  larson_cross: 800_000,
  mstress: 800_000,
  rptest: 400_000,
};

/** What a Worker is told at its start. */
export interface Post {
  readonly allocator: string;
  readonly seat: unknown;
  readonly workload: string;
  readonly workers: number;
  readonly id: number;
  readonly shared: number;
  readonly tables: number;
  readonly seed: number;
  readonly operations: number;
}

/** One run of one Worker: times of the clock that all threads have in common, in nanoseconds. */
export interface Run {
  readonly checksum: number;
  readonly start: bigint;
  readonly end: bigint;
}

export type ThreadWorkload = keyof typeof OPERATIONS;

export const threadWorkloads = Object.keys(OPERATIONS);

/** Those that call no allocator: what the machine itself does. */
export const machineWorkloads: readonly string[] = ["compute", "handover"];

/** workloads/threads.c: space for rings and exchange slots, and the words of a Worker's table. */
const SHARED_WORDS = 1 << 16;
const WORKER_WORDS = 1 << 14;

/** Another start in each Worker; never 0. */
function seedOf(id: number): number {
  return (SEED + Math.imul(id, 0x9e3779b1)) >>> 0 || SEED;
}

/** Workers that have joined an allocator, and what they share. */
class Crew {
  readonly #workers: Worker[] = [];
  readonly #views: Uint32Array[];
  readonly #free: () => void;

  constructor(owner: Owner, post: Pick<Post, "allocator" | "workload" | "workers">) {
    const { memory, exports, seat } = owner;
    const shared = zeroedTable(owner, SHARED_WORDS);
    const tables = zeroedTable(owner, WORKER_WORDS * post.workers);
    this.#views = [
      new Uint32Array(memory.buffer, shared, SHARED_WORDS),
      new Uint32Array(memory.buffer, tables, WORKER_WORDS * post.workers),
    ];
    this.#free = () => [shared, tables].forEach((block) => void exports.free(block));
    const operations = OPERATIONS[post.workload as ThreadWorkload];
    for (let id = 0; id < post.workers; id++) {
      this.#start({ ...post, seat, id, shared, tables, seed: seedOf(id), operations });
    }
  }

  #start(workerData: Post): void {
    this.#workers.push(new Worker(new URL("./threads-worker.js", import.meta.url), { workerData }));
  }

  /** What each Worker replies to a message; an error in one of them is thrown here. */
  async #ask(message: string): Promise<unknown[]> {
    const answers = this.#workers.map((worker) => once(worker, "message"));
    for (const worker of this.#workers) worker.postMessage(message);
    return (await Promise.all(answers)).map(([answer]) => answer);
  }

  async run(): Promise<{ ns: number; checksum: number }> {
    for (const view of this.#views) view.fill(0);
    const runs = (await this.#ask("run")) as Run[];
    const start = runs.reduce((least, run) => (run.start < least ? run.start : least), 2n ** 63n);
    const end = runs.reduce((most, run) => (run.end > most ? run.end : most), 0n);
    const checksum = runs.reduce((sum, run) => (sum + run.checksum) >>> 0, 0);
    return { ns: Number(end - start), checksum };
  }

  /** All Workers end, and what the driver has taken is given back. */
  async leave(): Promise<void> {
    await this.#ask("leave");
    this.#free();
  }

  async terminate(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

async function timed(crew: Crew, name: string): Promise<{ times: number[]; checksum: number }> {
  const { checksum } = await crew.run();
  for (let i = 1; i < WARM_UP_RUNS; i++) await crew.run();
  const times: number[] = [];
  for (let i = 0; i < STEADY_RUNS; i++) {
    const run = await crew.run();
    if (run.checksum !== checksum) throw new Error(`${name}: checksums differ between two runs`);
    times.push(run.ns);
  }
  return { times, checksum };
}

/**
 * The time is from the start of the first Worker to the end of the last. Warm-up and steady runs
 * are on the same heap; afterwards all of it must be free again.
 */
export async function measureThreads(
  allocator: SharedAllocator,
  workload: string,
  workers: number,
): Promise<Measurement> {
  collect();
  const owner = allocator.open();
  const crew = new Crew(owner, { allocator: allocator.name, workload, workers });
  try {
    const { times, checksum } = await timed(crew, workload);
    await crew.leave();
    owner.leave();
    const operations = OPERATIONS[workload as ThreadWorkload] * workers;
    const driverBytes = 4 * (SHARED_WORDS + WORKER_WORDS * workers);
    const memoryBytes = owner.memory.buffer.byteLength - driverBytes;
    return { nsPerOperation: median(times) / operations, checksum, memoryBytes };
  } finally {
    await crew.terminate();
  }
}
