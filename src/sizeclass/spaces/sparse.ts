/**
 * A simulated address space: pages in a table, for addresses up to 2^53, which doubles hold
 * exactly. With it LLVM's constants, regions of 16 GiB, can be used anywhere.
 */
import { wrongKind } from "../../common/errors.ts";
import { type OptionRow, optionsCheck } from "../../common/option-table.ts";
import type { AddressSpace } from "../core/contract.ts";

const PAGE = 4096;

/**
 * An address space that exists in JavaScript only: a table of pages, each created by its first
 * access. Accesses outside of what is mapped throw a RangeError.
 *
 * @example
 * const space = sparseSpace();
 * const allocator = createSizeClassHeap({ space });
 * space.store32(allocator.malloc(100), 7);
 */
export class SparseSpace implements AddressSpace, Disposable {
  /** For error texts. */
  readonly kind = "sparse";
  /** The lowest address. */
  readonly begin: number;
  /** Bytes that may be mapped at a time: map returns false beyond. May be changed at any time. */
  limit: number;
  readonly #pages = new Map<number, Uint32Array | undefined>();
  #touched = 0;
  #last = -1;
  #words: Uint32Array = new Uint32Array(0);

  /** Use sparseSpace. */
  constructor(begin: number, limit: number) {
    this.begin = begin;
    this.limit = limit;
  }

  /** Bytes that are mapped. */
  get mapped(): number {
    return this.#pages.size * PAGE;
  }

  /** Bytes of the mapped pages that have been accessed, and so take memory. */
  get touched(): number {
    return this.#touched * PAGE;
  }

  /** Makes a range usable; false, and no change, beyond `limit`. */
  map(address: number, bytes: number): boolean {
    if (this.mapped + bytes > this.limit) return false;
    for (const page of pagesOf(address, bytes)) {
      if (!this.#pages.has(page)) this.#pages.set(page, undefined);
    }
    return true;
  }

  /** Drops the pages of a range: accesses to it throw afterwards. */
  unmap(address: number, bytes: number): void {
    this.release(address, bytes);
    for (const page of pagesOf(address, bytes)) this.#pages.delete(page);
  }

  /** Drops the contents of a range, which reads as zero afterwards. */
  release(address: number, bytes: number): void {
    this.#last = -1;
    for (const page of pagesOf(address, bytes)) {
      if (!this.#pages.get(page)) continue;
      this.#pages.set(page, undefined);
      this.#touched -= 1;
    }
  }

  /** Bytes of the pages of a range that have been accessed. */
  resident(address: number, bytes: number): number {
    let count = 0;
    for (const page of pagesOf(address, bytes)) count += this.#pages.get(page) ? 1 : 0;
    return count * PAGE;
  }

  /** Unmaps everything. */
  destroy(): void {
    this.#pages.clear();
    this.#touched = 0;
    this.#last = -1;
  }

  /** destroy, for `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  /** Reads the unsigned word at a multiple of 4. */
  load32(address: number): number {
    return this.#at(address)[(address % PAGE) / 4] as number;
  }

  /** Writes an unsigned word at a multiple of 4. */
  store32(address: number, value: number): void {
    this.#at(address)[(address % PAGE) / 4] = value;
  }

  /** Reads the byte at an address. */
  load8(address: number): number {
    return this.#bytes(address)[address % PAGE] as number;
  }

  /** Writes a byte at an address. */
  store8(address: number, value: number): void {
    this.#bytes(address)[address % PAGE] = value;
  }

  /** Copies bytes between ranges, which may overlap. */
  copy(to: number, from: number, bytes: number): void {
    const copied = Uint8Array.from({ length: bytes }, (_, i) => this.load8(from + i));
    for (let i = 0; i < bytes; i++) this.store8(to + i, copied[i] as number);
  }

  /** Writes the byte `value` over a range. */
  fill(address: number, bytes: number, value: number): void {
    for (let at = address; at < address + bytes; ) {
      const stop = Math.min(address + bytes, (Math.floor(at / PAGE) + 1) * PAGE);
      this.#bytes(at).fill(value, at % PAGE, ((stop - 1) % PAGE) + 1);
      at = stop;
    }
  }

  #bytes(address: number): Uint8Array {
    return new Uint8Array(this.#at(address).buffer);
  }

  #at(address: number): Uint32Array {
    const page = Math.floor(address / PAGE);
    return page === this.#last ? this.#words : this.#find(page, address);
  }

  #find(page: number, address: number): Uint32Array {
    let words = this.#pages.get(page);
    if (!words) {
      if (!this.#pages.has(page)) throw new RangeError(`nothing is mapped at ${address}`);
      words = new Uint32Array(PAGE / 4);
      this.#pages.set(page, words);
      this.#touched += 1;
    }
    this.#last = page;
    this.#words = words;
    return words;
  }
}

function* pagesOf(address: number, bytes: number): Generator<number> {
  const end = (address + bytes) / PAGE;
  for (let page = Math.floor(address / PAGE); page < end; page++) yield page;
}

/** Options of sparseSpace. */
export interface SparseOptions {
  /** The lowest address: a multiple of 4096 up to 2^53. Default: 2^44. */
  begin?: number | undefined;
  /** Bytes that may be mapped at a time, up to 2^53. Default: 2^53. */
  limit?: number | undefined;
}

const rows: OptionRow[] = [
  { ...rowOf("begin"), refuse: (value) => numberError("begin", value, PAGE) },
  { ...rowOf("limit"), refuse: (value) => numberError("limit", value, 1) },
];

function rowOf(name: string) {
  return { name, type: "", default: "", text: "" };
}

function numberError(name: string, value: unknown, unit: number): Error | undefined {
  if (typeof value !== "number") return wrongKind(name, "a number", value);
  if (Number.isInteger(value / unit) && value >= 0 && value <= 2 ** 53) return undefined;
  const kind = unit === 1 ? "a whole number" : `a multiple of ${unit}`;
  return new RangeError(`${name} must be ${kind} from 0 to 2^53, not ${value}`);
}

/**
 * Creates a simulated address space: see SparseSpace.
 *
 * @throws TypeError or RangeError for options that are unknown or out of range.
 * @example
 * const space = sparseSpace();
 * const allocator = createSizeClassHeap({ space });
 */
export function sparseSpace(options: SparseOptions = {}): SparseSpace {
  optionsCheck(rows, options);
  const { begin = 2 ** 44, limit = 2 ** 53 } = options;
  return new SparseSpace(begin, limit);
}
