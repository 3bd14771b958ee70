/** Blocks one after the other in chunks: the common part of chunk and zone. */
import type { Pool } from "../pool/contract.ts";
import type { Held } from "../pool/errors.ts";

/** Requests above this part of a chunk get blocks of their own: the rest of a chunk is lost. */
export const OWN_SHARE = 4;

export class Bump {
  /** What was taken from the source, oldest first. */
  readonly taken: Held[] = [];
  /** Bytes of all of `taken`. */
  bytes = 0;
  /** Free bytes of the current chunk: [at, end). */
  at = 0;
  end = 0;
  readonly #source: Pool;
  readonly #chunk: number;

  constructor(source: Pool, chunk: number) {
    this.#source = source;
    this.#chunk = chunk;
  }

  /** `size` is a multiple of 16, at most a chunk. */
  get(size: number): number {
    if (this.at + size > this.end && !this.#next()) return 0;
    const ptr = this.at;
    this.at += size;
    return ptr;
  }

  /** A block of its own from the source. */
  own(size: number): number {
    const ptr = this.#source.get(size);
    if (ptr === 0) return 0;
    this.taken.push({ ptr, size });
    this.bytes += size;
    return ptr;
  }

  /** Gives back all but the oldest `keep`. The caller sets `at` and `end` afterwards. */
  cut(keep: number): void {
    while (this.taken.length > keep) {
      const { ptr, size } = this.taken.pop() as Held;
      this.bytes -= size;
      this.#source.put(ptr, size);
    }
  }

  clear(): void {
    this.cut(0);
    this.at = 0;
    this.end = 0;
  }

  owns(ptr: number): boolean {
    return this.taken.some((block) => ptr >= block.ptr && ptr < block.ptr + block.size);
  }

  #next(): boolean {
    const ptr = this.own(this.#chunk);
    if (ptr === 0) return false;
    this.at = ptr;
    this.end = ptr + this.#chunk;
    return true;
  }
}
