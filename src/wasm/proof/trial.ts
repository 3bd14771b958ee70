/** A function and the role that it is tried in, and the blocks that it returns. */
import type { Param, Role } from "../allocators/roles.ts";
import type { Scratch } from "./scratch.ts";

/** Every malloc aligns at least so. */
export const ALIGN_LEAST = 8;
/** Fuel of a call in a full test. */
export const FUEL = 400_000;
/** Fuel of a call in the first look at a candidate, which most fail. */
export const FUEL_QUICK = 20_000;

/** A function, and what it is supposed to be. */
export interface Trial {
  readonly index: number;
  readonly role: Role;
  /**
   * The address of the allocator's state, where the function takes it as its first parameter;
   * undefined where such a parameter has no meaning.
   */
  readonly self?: number | undefined;
}

/** The values of a call, by the meaning of parameters; those that are missing are 0. */
export type Values = Readonly<Partial<Record<Param, number>>>;

/** Why a test failed; undefined if it has passed. */
export type Failure = string | undefined;

/** The arguments of a call in the order of the role's parameters. */
export function argumentsOf({ role, self }: Trial, values: Values): number[] {
  const align = values.align ?? ALIGN_LEAST;
  return role.params.map((param, i) => {
    if (param === "-") return i === 0 ? (self ?? 0) : 0;
    if (param === "log2") return Math.log2(align);
    if (param === "align") return align;
    if (param === "count") return values.count ?? 1;
    return values[param] ?? 0;
  });
}

/** A block that a tried function has returned. */
export interface TrialBlock {
  address: number;
  size: number;
  /** The byte that fills it. */
  readonly byte: number;
}

/** The live blocks of a test: they must not overlap, and must keep what is written to them. */
export class TrialBlocks {
  readonly #scratch: Scratch;
  readonly #blocks: TrialBlock[] = [];
  #made = 0;

  constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  /** All live blocks, in the order of their allocation. */
  get all(): readonly TrialBlock[] {
    return this.#blocks;
  }

  at(position: number): TrialBlock {
    return this.#blocks[position] as TrialBlock;
  }

  /** Calls an allocating function, and takes its result as a block. */
  allocate(trial: Trial, values: Values, fuel = FUEL): Failure {
    const size = (values.size ?? 0) * (values.count ?? 1);
    const address = this.#scratch.call(trial.index, fuel, argumentsOf(trial, values));
    return this.add(address, size, values.align);
  }

  /** Takes the result of a call as a block, and fills it. */
  add(address: number | undefined, size: number, align = ALIGN_LEAST): Failure {
    const failure = this.place(address, size, align);
    if (failure) return failure;
    const byte = (this.#made++ * 37 + 0x81) & 0xff;
    const block = { address: address as number, size, byte };
    this.#blocks.push(block);
    this.fill(block);
    return undefined;
  }

  /** Why a result cannot be a new block. */
  place(address: number | undefined, size: number, align = ALIGN_LEAST): Failure {
    if (address === undefined) return "it traps or does not end";
    if (address === 0) return "it returns null";
    if (address % Math.max(align, ALIGN_LEAST) !== 0) return "a block is not aligned";
    if (address + size > this.#scratch.size) return "a block is outside of the memory";
    if (this.#isInData(address, size)) return "a block is in the program's data";
    const overlaps = ({ address: at, size: length }: TrialBlock) =>
      address < at + length && at < address + size;
    return this.#blocks.some(overlaps) ? "blocks overlap" : undefined;
  }

  #isInData(address: number, size: number): boolean {
    return this.#scratch.rewritten.module.data.some(
      ({ address: at, start, end }) =>
        at !== undefined && address < at + end - start && at < address + size,
    );
  }

  fill({ address, size, byte }: TrialBlock): void {
    this.#scratch.fill(address, size, byte);
  }

  /** Fills a block with pointers to other blocks and numbers that look like sizes. */
  poison({ address, size }: TrialBlock, pointers: readonly number[]): void {
    this.#scratch.mark(address, size);
    const words = new DataView(this.#scratch.bytes.buffer, address, size);
    const values = [...pointers, 0xfffffff0, 3];
    for (let at = 0; at + 4 <= size; at += 4) {
      words.setUint32(at, values[(at >>> 2) % values.length] as number, true);
    }
  }

  /** Whether the first bytes of a block are what was written. */
  keeps({ address, byte }: TrialBlock, size: number): boolean {
    const { bytes } = this.#scratch;
    for (let i = 0; i < size; i++) if (bytes[address + i] !== byte) return false;
    return true;
  }

  /** Whether all blocks are what was written. */
  intact(): Failure {
    const isKept = this.#blocks.every((each) => this.keeps(each, each.size));
    return isKept ? undefined : "the contents of a live block have changed";
  }

  forget(block: TrialBlock): void {
    this.#blocks.splice(this.#blocks.indexOf(block), 1);
  }
}
