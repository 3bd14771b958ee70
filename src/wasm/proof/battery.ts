/** What a pair of functions has to do to be malloc and free. */
import type { Scratch } from "./scratch.ts";
import {
  argumentsOf,
  type Failure,
  FUEL,
  FUEL_QUICK,
  type Trial,
  type TrialBlock,
  TrialBlocks,
} from "./trial.ts";

const SIZES_QUICK: readonly number[] = [24, 24, 1000, 24];
const SIZES: readonly number[] = [
  1, 8, 16, 24, 40, 100, 13, 500, 1000, 3000, 10000, 70000, 24, 24, 4, 7, 64, 128, 256, 5000, 33,
];
/** Sizes of the blocks that stay while others come and go. */
const SIZES_LIVE: readonly number[] = [40, 200, 1000, 24, 64, 5000];
/** Sizes of the blocks that come and go. */
const SIZES_ROUND: readonly number[] = [200, 4000, 600, 20000];
const ROUNDS = 120;
/** A size has at most so many places in all rounds: caches rotate, but do not lose blocks. */
const PLACES_MOST = ROUNDS / 2;
/** After so many rounds a pair that has used no place twice is given up. */
const ROUNDS_FIRST = 24;
/** Blocks that are allocated at the end, to find live blocks that were given out again. */
const BLOCKS_LAST = 40;

/** Tests of one scratch instance; each starts from its snapshot. */
export class Battery {
  readonly scratch: Scratch;

  constructor(scratch: Scratch) {
    this.scratch = scratch;
  }

  /** Starts a test: the state of the snapshot, and no blocks. */
  begin(): TrialBlocks {
    this.scratch.restore();
    return new TrialBlocks(this.scratch);
  }

  /** Calls free in any of its forms; false if it traps. */
  release(free: Trial, { address, size }: TrialBlock, fuel = FUEL): boolean {
    const args = argumentsOf(free, { ptr: address, old: size, size });
    return this.scratch.call(free.index, fuel, args) !== undefined;
  }

  /** A first look, which most functions fail. */
  allocatesQuick(alloc: Trial): Failure {
    const blocks = this.begin();
    return firstFailure(SIZES_QUICK, (size) => blocks.allocate(alloc, { size }, FUEL_QUICK));
  }

  /** Distinct, aligned, writable blocks of all sizes that keep their contents. */
  allocates(alloc: Trial): Failure {
    const quick = this.allocatesQuick(alloc);
    if (quick) return quick;
    const blocks = this.begin();
    return firstFailure(SIZES, (size) => blocks.allocate(alloc, { size })) ?? blocks.intact();
  }

  /** What free takes comes back, and nothing else does. */
  frees(alloc: Trial, free: Trial): Failure {
    return this.#freesQuick(alloc, free) ?? new FreeTest(this, alloc, free).run();
  }

  /** Some of the blocks that were freed are used again. */
  #freesQuick(alloc: Trial, free: Trial): Failure {
    const blocks = this.begin();
    const failure = firstFailure(SIZES_ROUND, (size) => blocks.allocate(alloc, { size }));
    if (failure) return failure;
    const before = new Set(blocks.all.map((each) => each.address));
    for (const block of blocks.all) {
      if (!this.release(free, block, FUEL_QUICK)) return "free traps";
    }
    for (let turn = 0; turn < ROUNDS_FIRST; turn++) {
      for (const size of SIZES_ROUND) {
        const args = argumentsOf(alloc, { size });
        const address = this.scratch.call(alloc.index, FUEL, args);
        if (address === undefined || address === 0) return "malloc fails after free";
        if (before.has(address)) return undefined;
        this.release(free, { address, size, byte: 0 }, FUEL_QUICK);
      }
    }
    return "freed blocks are not used again";
  }
}

/** Blocks come and go beside live ones. */
class FreeTest {
  readonly #battery: Battery;
  readonly #alloc: Trial;
  readonly #free: Trial;
  readonly #blocks: TrialBlocks;
  readonly #places = SIZES_ROUND.map(() => new Set<number>());
  #halfPages = 0;

  constructor(battery: Battery, alloc: Trial, free: Trial) {
    this.#battery = battery;
    this.#alloc = alloc;
    this.#free = free;
    this.#blocks = battery.begin();
  }

  run(): Failure {
    return (
      firstFailure(SIZES_LIVE, (size) => this.#blocks.allocate(this.#alloc, { size })) ??
      this.#rounds() ??
      this.#blocks.intact() ??
      this.#liveStay() ??
      this.#allGo()
    );
  }

  #rounds(): Failure {
    const { scratch } = this.#battery;
    for (let round = 0; round < ROUNDS; round++) {
      const failure = this.#round(round);
      if (failure) return failure;
      if (round === ROUNDS_FIRST && this.#isEachNew(round))
        return "freed blocks are not used again";
      if (round === ROUNDS / 2) this.#halfPages = scratch.size;
    }
    const isMany = this.#places.some((places) => places.size > PLACES_MOST);
    if (isMany) return "freed blocks are not used again";
    return scratch.size > this.#halfPages ? "memory grows although all is freed" : undefined;
  }

  #isEachNew(round: number): boolean {
    return this.#places.some((places) => places.size > round);
  }

  /** Allocates one block of each size and frees them, in an order that changes. */
  #round(round: number): Failure {
    const live = this.#blocks.all.length;
    const failure = firstFailure(SIZES_ROUND, (size) =>
      this.#blocks.allocate(this.#alloc, { size }),
    );
    if (failure) return failure;
    const fresh = this.#blocks.all.slice(live);
    const pointers = [this.#blocks.at(1).address, this.#blocks.at(2).address];
    fresh.forEach((block, i) => {
      this.#places[i]?.add(block.address);
      this.#blocks.poison(block, pointers);
    });
    const order = fresh.map((_, i) => fresh[(i + round) % fresh.length] as TrialBlock);
    for (const block of round % 2 ? order.reverse() : order) {
      this.#blocks.forget(block);
      if (!this.#battery.release(this.#free, block)) return "free traps";
    }
    return undefined;
  }

  /** A function that frees what its argument points to would give out live blocks. */
  #liveStay(): Failure {
    const sizes = Array.from({ length: BLOCKS_LAST }, (_, i) => SIZES_LIVE[i % 3] as number);
    return (
      firstFailure(sizes, (size) => this.#blocks.allocate(this.#alloc, { size })) ??
      this.#blocks.intact()
    );
  }

  #allGo(): Failure {
    const order = [...this.#blocks.all].sort((a, b) => ((a.byte * 7) & 63) - ((b.byte * 7) & 63));
    for (const block of order) {
      this.#blocks.forget(block);
      if (!this.#battery.release(this.#free, block)) return "free traps";
    }
    return firstFailure(SIZES_LIVE, (size) => this.#blocks.allocate(this.#alloc, { size }));
  }
}

/** The first failure of a step for each value. */
export function firstFailure<T>(values: readonly T[], step: (value: T) => Failure): Failure {
  for (const value of values) {
    const failure = step(value);
    if (failure) return failure;
  }
  return undefined;
}
