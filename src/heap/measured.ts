/** What a heap tells of itself: statistics, figures of the process, samples of its allocations. */
import { checkFunction } from "../common/checks.ts";
import { outputWrite } from "../common/log-output.ts";
import type { GuardsMemory, HeapGuards } from "../core/contract.ts";
import type { MemorySource } from "../memory/index.ts";
import { AllocationFamily } from "./calls/family.ts";
import { countsReset } from "./stats/counts.ts";
import { levelRefuse, type StatsLevel, Watching } from "./stats/observers.ts";
import { type ProcessInfo, processInfoOf } from "./stats/process-info.ts";
import { type Sampled, type SamplerOptions, samplerMake } from "./stats/sampler.ts";
import { statsLines } from "./stats/stats-table.ts";
import { talliesReset } from "./stats/tally.ts";
import { type BlockNext, type HeapStats, statsRead } from "./stats/walk.ts";

export abstract class MeasuredHeap extends AllocationFamily {
  abstract readonly source: MemorySource;
  abstract readonly u32: Uint32Array;
  abstract readonly blockNext: BlockNext | undefined;
  protected readonly watching = new Watching(this.#place());

  #place() {
    const heap = this;
    return {
      get core() {
        return heap.core;
      },
      get state() {
        return heap.source.start;
      },
      ticket: () => this.ticket,
      words: () => this.u32,
      next: () => this.blockNext,
    };
  }

  /** Of this thread in a shared memory; 0 where there are no others. */
  protected get ticket(): number {
    return 0;
  }

  /**
   * Figures as they are now; costs a walk over the pages.
   *
   * @example
   * const heap = createHeap({ statsLevel: 1 });
   * heap.malloc(100);
   * heap.stats().sizes.normal.bytes.current; // 112
   */
  stats(): HeapStats {
    this.core.goodSize(0); // throws if the heap is destroyed
    return statsRead(this.u32, this.source.start, { level: this.watching.level, shared: false });
  }

  /**
   * How much is counted: 0 = what costs nothing; 1 = also bytes and blocks of small, large and huge
   * sizes; 2 = also each size class, and what requests asked for. Malloc and free of this thread
   * take 14 times as long at 1 and 24 times at 2. Set while blocks live it begins with these.
   */
  get statsLevel(): StatsLevel {
    return this.watching.level;
  }

  set statsLevel(level: StatsLevel) {
    this.core.goodSize(0);
    const error = levelRefuse(level);
    if (error) throw error;
    this.watching.levelSet(level, true);
  }

  /** Forgets what was counted: what is there now counts as all that ever was. */
  statsReset(): void {
    this.core.goodSize(0);
    talliesReset(this.u32, this.source.start);
    countsReset(this.u32, this.source.start, this.ticket !== 0);
  }

  /**
   * Prints the statistics as mimalloc does, a call for each line; by default where messages go.
   * docs/statistics.md explains the rows.
   */
  printStats(write: (text: string) => void = outputWrite): void {
    checkFunction("write", write);
    for (const line of statsLines(this.stats(), this.processInfo())) write(`${line}\n`);
  }

  /** Times, memory and page faults of the process as far as the platform tells; zeros elsewhere. */
  processInfo(): ProcessInfo {
    const { committedBytes, committedBytesPeak } = this.stats();
    return processInfoOf(committedBytes, committedBytesPeak);
  }

  /**
   * Calls a function for a sample of this thread's allocations: of the bytes that are asked for
   * every `everyBytes`-th on average, 1 to 1 GiB, and for the blocks that they lie in. `bytes` is
   * what the sample stands for: added up, they are what was allocated. The function runs inside the
   * allocation and sees the stack that led to it; it may call the heap. Takes the place of the
   * sampler before; undefined: no more. docs/profiling.md makes a profile of it.
   *
   * @throws TypeError or RangeError for wrong arguments.
   * @example
   * heap.registerSampler(512 * 1024, (ptr, size, bytes) => sites.add(new Error().stack, bytes));
   * heap.registerSampler(undefined);
   */
  registerSampler(everyBytes: undefined): void;
  registerSampler(everyBytes: number, sampled: Sampled, options?: SamplerOptions): void;
  registerSampler(
    everyBytes: number | undefined,
    sampled?: Sampled,
    options: SamplerOptions = {},
  ): void {
    this.core.goodSize(0);
    if (everyBytes === undefined) this.watching.listen(undefined);
    else this.watching.listen(samplerMake(everyBytes, sampled as Sampled, options));
  }

  /**
   * Offers a sample of this thread's allocations to somebody who serves them with blocks of its
   * own, in a room that the heap gives; `free` and its kin know these blocks, in every thread. It
   * is what `guarded` of terrane/debug stands on. Undefined for a hardened heap, which has checks
   * of its own, while there is another one, and when memory is out.
   */
  guardsBegin(guards: HeapGuards): GuardsMemory | undefined {
    this.core.goodSize(0);
    return this.watching.guard(guards);
  }
}
