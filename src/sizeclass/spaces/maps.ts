/**
 * Size-class maps: the sizes of chunks, and how many a thread's cache takes at a time. Algorithm:
 * LLVM's SizeClassMap. classes.ts is the same in the dialect.
 */
import { wrongKind } from "../../common/errors.ts";
import type { SizeClassMapOptions } from "../core/contract.ts";

/** Names of the maps that LLVM has. */
export type SizeClassMapName = "default" | "compact" | "veryCompact" | "dense" | "veryDense";

function options(
  bits: number,
  minLog: number,
  midLog: number,
  maxLog: number,
  cachedHint: number,
  bytesCachedLog: number,
): SizeClassMapOptions {
  return { bits, minLog, midLog, maxLog, cachedHint, bytesCachedLog };
}

/** The maps that LLVM has, by name. */
export const sizeClassMaps: Record<SizeClassMapName, SizeClassMapOptions> = {
  default: options(3, 4, 8, 17, 128, 16),
  compact: options(3, 4, 8, 17, 64, 14),
  veryCompact: options(2, 5, 9, 16, 64, 14),
  dense: options(3, 4, 8, 17, 8, 10),
  veryDense: options(2, 5, 9, 16, 8, 10),
};

const HINT_LIMIT = 128;

/**
 * A map of sizes to classes: class 0 is unused, the sizes of the others ascend.
 *
 * @example
 * const map = createSizeClassMap("default");
 * map.size(map.id(300)); // 320
 */
export class SizeClassMap {
  /** The numbers that it was made from. */
  readonly options: SizeClassMapOptions;
  /** Number of classes, with class 0. */
  readonly classes: number;
  /** `classes` rounded up to 32, 64, 128 or 256: the number of reserved regions. */
  readonly rounded: number;
  /** Bytes of the largest chunk. */
  readonly sizeLast: number;
  readonly #midClass: number;

  /** Use createSizeClassMap. */
  constructor(of: SizeClassMapOptions) {
    this.options = of;
    this.#midClass = 2 ** (of.midLog - of.minLog);
    this.classes = this.#midClass + (of.maxLog - of.midLog) * 2 ** (of.bits - 1) + 1;
    this.rounded = Math.max(32, 2 ** Math.ceil(Math.log2(this.classes)));
    this.sizeLast = 2 ** of.maxLog;
  }

  /** The class whose chunks hold `size` bytes; 0 for size 0 and for sizes above `sizeLast`. */
  id(size: number): number {
    const { bits, minLog, midLog } = this.options;
    if (size > this.sizeLast) return 0;
    if (size <= 2 ** midLog) return Math.ceil(size / 2 ** minLog);
    const top = Math.floor(Math.log2(size));
    const step = 2 ** (top - bits + 1);
    return this.#midClass + (top - midLog) * 2 ** (bits - 1) + Math.ceil((size - 2 ** top) / step);
  }

  /** Bytes of a chunk of a class. */
  size(id: number): number {
    const { bits, minLog, midLog } = this.options;
    if (id <= this.#midClass) return id * 2 ** minLog;
    const steps = 2 ** (bits - 1);
    const doubling = 2 ** (midLog + Math.floor((id - this.#midClass) / steps));
    return doubling + (doubling / steps) * ((id - this.#midClass) % steps);
  }

  /** How many chunks of a class a cache takes at a time; 0 for class 0. */
  cachedHint(id: number): number {
    if (id === 0) return 0;
    const { cachedHint, bytesCachedLog } = this.options;
    return Math.max(1, Math.min(cachedHint, Math.floor(2 ** bytesCachedLog / this.size(id))));
  }

  /**
   * Checks every size and every class: each size has the smallest class that holds it, and the
   * sizes of classes ascend. Takes time in proportion to `sizeLast`.
   *
   * @throws RangeError that names the first size or class that is wrong.
   */
  validate(): void {
    for (let id = 1; id < this.classes; id++) this.#validateClass(id);
    if (this.id(this.sizeLast + 1) !== 0) throw mapWrong("a class beyond the last", this.classes);
    for (let size = 1; size <= this.sizeLast; size++) {
      const id = this.id(size);
      if (id >= this.classes || this.size(id) < size) throw mapWrong("too small a class", size);
      if (this.size(id - 1) >= size) throw mapWrong("too large a class", size);
    }
  }

  #validateClass(id: number): void {
    const size = this.size(id);
    if (this.id(size) !== id) throw mapWrong("not its own class", size);
    if (size <= this.size(id - 1)) throw mapWrong("no larger size than the class before", id);
    if (id < this.classes - 1 && this.id(size + 1) !== id + 1) throw mapWrong("a gap", size + 1);
    if (size > 1 && this.id(size - 1) !== id) throw mapWrong("not the class of one less", size);
  }
}

function mapWrong(what: string, value: number): RangeError {
  return new RangeError(`size-class map: ${value} has ${what}`);
}

/**
 * Creates a map from its name or its numbers.
 *
 * @throws RangeError for an unknown name, or numbers that are out of range or make fewer than 16 or
 * more than 256 classes; TypeError for anything else.
 * @example
 * createSizeClassMap("default").size(17); // 320
 */
export function createSizeClassMap(of: SizeClassMapName | SizeClassMapOptions): SizeClassMap {
  const given = typeof of === "string" ? mapNamed(of) : of;
  if (typeof given !== "object" || given === null) throw wrongKind("map", MAP_KIND, given);
  checkNumbers(given);
  const map = new SizeClassMap(given);
  if (map.classes < 16 || map.classes > 256) {
    throw new RangeError(`size-class map: ${map.classes} classes, not 16 to 256`);
  }
  return map;
}

const MAP_KIND = "a size-class map's name or its numbers";

function mapNamed(name: SizeClassMapName): SizeClassMapOptions {
  if (Object.hasOwn(sizeClassMaps, name)) return sizeClassMaps[name];
  const known = Object.keys(sizeClassMaps).join(", ");
  throw new RangeError(`unknown size-class map ${name}; known: ${known}`);
}

function checkNumbers(given: SizeClassMapOptions): void {
  const { bits, minLog, midLog, maxLog, cachedHint, bytesCachedLog } = given;
  within("bits", bits, 1, 6);
  within("minLog", minLog, 4, 16);
  // So that the chunks of the smallest doubling are multiples of 2^minLog.
  within("midLog", midLog, minLog + bits - 1, 24);
  within("maxLog", maxLog, midLog + 1, 28);
  within("cachedHint", cachedHint, 1, HINT_LIMIT);
  within("bytesCachedLog", bytesCachedLog, 4, 30);
}

function within(name: string, value: number, least: number, most: number): void {
  if (typeof value !== "number") throw wrongKind(name, "a number", value);
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`${name} must be a whole number from ${least} to ${most}, not ${value}`);
}
