/** What realloc, calloc, memalign and the like have to do, beside a malloc and a free. */
import type { Role } from "../allocators/roles.ts";
import { type Battery, firstFailure } from "./battery.ts";
import {
  argumentsOf,
  type Failure,
  FUEL,
  FUEL_QUICK,
  type Trial,
  type TrialBlock,
  type TrialBlocks,
} from "./trial.ts";

/** A malloc and a free that are proven. */
export interface Pair {
  readonly alloc: Trial;
  readonly free: Trial;
}

const REALLOC_SIZES: readonly number[] = [5000, 300, 301, 20000, 8, 64, 70000, 100];
const REALLOC_ROUNDS = 100;
const ZERO_SIZES: readonly number[] = [6000, 300, 24, 70000];
const PRODUCTS: readonly (readonly [number, number])[] = [
  [10, 100],
  [100, 10],
  [7, 60],
  [3, 4096],
  [4096, 3],
];
const ALIGNMENTS: readonly (readonly [align: number, size: number])[] = [
  [16, 3000],
  [64, 100],
  [256, 72],
  [4096, 72],
  [4096, 24],
  [1024, 500],
  [32, 9000],
];
const USABLE_SIZES: readonly number[] = [1, 24, 100, 1000, 5000];
/** A block may be so much larger than it was asked for: classes can be powers of two. */
const usableMost = (size: number) => size * 2 + 64;

/** Tests of functions that belong to a proven pair. */
export class PairBattery {
  readonly #battery: Battery;
  readonly #pair: Pair;

  constructor(battery: Battery, pair: Pair) {
    this.#battery = battery;
    this.#pair = pair;
  }

  /** Tests what the role of a function promises. */
  test(trial: Trial): Failure {
    switch (trial.role.action) {
      case "alloc":
        return this.#alloc(trial);
      case "zero":
        return this.#alloc(trial) ?? this.#zeroes(trial);
      case "free":
        return this.#battery.frees(this.#pair.alloc, trial);
      case "realloc":
        return this.#realloc(trial);
      case "posix":
        return this.#posix(trial);
      case "usable":
        return this.#usable(trial);
      default:
        return "there is no test for it";
    }
  }

  #live(blocks: TrialBlocks, sizes: readonly number[]): Failure {
    return firstFailure(sizes, (size) => blocks.allocate(this.#pair.alloc, { size }));
  }

  #alloc(trial: Trial): Failure {
    const { params } = trial.role;
    return (
      this.#battery.allocates(trial) ??
      this.#battery.frees(trial, this.#pair.free) ??
      (params.includes("count") ? this.#products(trial) : undefined) ??
      (hasAlign(trial.role) ? this.#aligns(trial) : undefined)
    );
  }

  /** Blocks have the size of the product, whichever factor is the larger one. */
  #products(trial: Trial): Failure {
    const blocks = this.#battery.begin();
    return (
      firstFailure(
        PRODUCTS,
        ([count, size]) => blocks.allocate(trial, { count, size }) ?? this.#live(blocks, [30]),
      ) ?? blocks.intact()
    );
  }

  /** Alignments are kept, and blocks of any alignment can be freed. */
  #aligns(trial: Trial): Failure {
    const blocks = this.#battery.begin();
    const twice = [...ALIGNMENTS, ...ALIGNMENTS];
    return (
      firstFailure(twice, ([align, size]) => this.#alignedTake(blocks, trial, align, size)) ??
      blocks.intact() ??
      firstFailure([...blocks.all], (block) => this.#release(blocks, block))
    );
  }

  #alignedTake(blocks: TrialBlocks, trial: Trial, align: number, size: number): Failure {
    return blocks.allocate(trial, { align, size }) ?? this.#live(blocks, [30]);
  }

  #release(blocks: TrialBlocks, block: TrialBlock): Failure {
    blocks.forget(block);
    return this.#battery.release(this.#pair.free, block) ? undefined : "free traps";
  }

  /** Memory is zero even where it was used before. */
  #zeroes(trial: Trial): Failure {
    const blocks = this.#battery.begin();
    return (
      this.#live(blocks, [40]) ?? firstFailure(ZERO_SIZES, (s) => this.#zeroed(blocks, trial, s))
    );
  }

  #zeroed(blocks: TrialBlocks, trial: Trial, size: number): Failure {
    const first = blocks.all.length;
    const failure =
      this.#live(blocks, [size, size, size, size]) ?? this.#releaseFrom(blocks, first);
    if (failure) return failure;
    const { scratch } = this.#battery;
    for (let turn = 0; turn < 3; turn++) {
      const address = scratch.call(trial.index, FUEL, argumentsOf(trial, { size }));
      const bad = blocks.place(address, size);
      if (bad) return bad;
      const at = address as number;
      if (scratch.bytes.subarray(at, at + size).some((byte) => byte !== 0))
        return "it is not zeroed";
      blocks.add(at, size);
    }
    return this.#releaseFrom(blocks, first);
  }

  #releaseFrom(blocks: TrialBlocks, first: number): Failure {
    return firstFailure(blocks.all.slice(first), (block) => this.#release(blocks, block));
  }

  /** Contents are kept, neighbours too, and the old block comes back. */
  #realloc(trial: Trial): Failure {
    const blocks = this.#battery.begin();
    const failure = this.#live(blocks, [40, 200, 1000]);
    if (failure) return failure;
    return (
      this.#moved(blocks, trial, 40, FUEL_QUICK) ??
      firstFailure(REALLOC_SIZES, (size) => this.#moved(blocks, trial, size)) ??
      blocks.intact() ??
      this.#live(blocks, new Array<number>(20).fill(60)) ??
      blocks.intact() ??
      this.#reallocLoop(trial)
    );
  }

  /** Gives block 1 another size. */
  #moved(blocks: TrialBlocks, trial: Trial, size: number, fuel = FUEL): Failure {
    const block = blocks.at(1);
    const values = { ptr: block.address, old: block.size, size };
    const address = this.#battery.scratch.call(trial.index, fuel, argumentsOf(trial, values));
    const { size: old } = block;
    // It may stay where it is, so it cannot overlap itself.
    block.size = 0;
    const bad = blocks.place(address, size);
    if (bad) return bad;
    block.address = address as number;
    if (!blocks.keeps(block, Math.min(old, size))) return "realloc loses contents";
    block.size = size;
    blocks.fill(block);
    return undefined;
  }

  #reallocLoop(trial: Trial): Failure {
    const places = new Set<number>();
    const blocks = this.#battery.begin();
    const { alloc } = this.#pair;
    for (let round = 0; round < REALLOC_ROUNDS; round++) {
      const failure =
        blocks.allocate(alloc, { size: 40 }) ??
        blocks.allocate(alloc, { size: 100 }) ??
        firstFailure([3000, 9000, 50], (size) => this.#movedNoted(blocks, trial, size, places)) ??
        this.#releaseFrom(blocks, 0);
      if (failure) return failure;
    }
    return places.size > REALLOC_ROUNDS / 2 ? "realloc does not free the old block" : undefined;
  }

  #movedNoted(blocks: TrialBlocks, trial: Trial, size: number, places: Set<number>): Failure {
    const failure = this.#moved(blocks, trial, size);
    if (!failure && size > 100) places.add(blocks.at(1).address);
    return failure;
  }

  #posix(trial: Trial): Failure {
    const blocks = this.#battery.begin();
    const failure = this.#live(blocks, [16]);
    if (failure) return failure;
    const out = blocks.at(0).address;
    const { scratch } = this.#battery;
    return firstFailure(ALIGNMENTS, ([align, size]) => {
      scratch.fill(out, 4, 0);
      const args = argumentsOf(trial, { out, align, size });
      const code = scratch.call(trial.index, FUEL, args);
      return code === 0 ? blocks.add(scratch.word(out), size, align) : "it does not return 0";
    });
  }

  /** The size does not depend on what is in the block, as strlen's does. */
  #usable(trial: Trial): Failure {
    const blocks = this.#battery.begin();
    const sizes = (address: number) =>
      this.#battery.scratch.call(trial.index, FUEL_QUICK, argumentsOf(trial, { ptr: address }));
    return (
      firstFailure(USABLE_SIZES, (size) => {
        const failure = this.#live(blocks, [size]);
        if (failure) return failure;
        const { address } = blocks.at(blocks.all.length - 1);
        const found = sizes(address);
        if (found === undefined || found < size || found > usableMost(size)) {
          return "it does not return a block's size";
        }
        const isSame = [0, 0xff].every((byte) => {
          this.#battery.scratch.fill(address, size, byte);
          return sizes(address) === found;
        });
        blocks.fill(blocks.at(blocks.all.length - 1));
        return isSame ? undefined : "it looks at the contents of blocks";
      }) ?? blocks.intact()
    );
  }
}

/** Whether a caller chooses the alignment. */
function hasAlign({ params }: Role): boolean {
  return params.includes("align") || params.includes("log2");
}
