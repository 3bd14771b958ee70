/**
 * Gives physical memory back while freed blocks are in quarantine, or makes it inaccessible, as far
 * as the memory below can. A change of a poisoned or zeroed byte is a write after free, which a
 * check finds. Memory is protected only with `neverUnmap`, because an access to it cannot be
 * reported.
 */
import type { PageOperations } from "../../memory/index.ts";
import type { FreedState, Run } from "./block.ts";

/** A page or large block, as far as its memory is concerned. */
interface Reclaimable {
  readonly run: Run;
  freedState: FreedState;
  /** Bytes of the run, from its end on, whose physical memory was given back. */
  released: number;
}

/** Memory below that has pages. */
export interface PagesBelow {
  readonly operations: PageOperations;
  readonly canRelease: boolean;
  readonly canProtect: boolean;
}

export class FreedMemory {
  /** Bytes that are given back at present. */
  released = 0;
  readonly #below: PagesBelow | undefined;
  readonly #protects: boolean;

  constructor(below: PagesBelow | undefined, neverUnmap: boolean) {
    this.#below = below;
    this.#protects = neverUnmap && below?.canProtect === true;
  }

  /** Bytes that runs begin and end at multiples of; 1 where there are no pages. */
  get unit(): number {
    return this.#below?.operations.pageBytes ?? 1;
  }

  /** Whether `retire` can lose contents. */
  get discards(): boolean {
    return this.#protects || this.#below?.canRelease === true;
  }

  /** The blocks of an item are all free. Its contents are lost unless it stays poisoned. */
  retire(item: Reclaimable): void {
    const { base, bytes } = item.run;
    const released = this.#release(item, bytes);
    if (this.#protects && this.#below?.operations.protect(base, bytes)) {
      item.freedState = "protected";
    } else if (released) {
      item.freedState = this.#below?.operations.needsCommit ? "protected" : "zeroed";
    }
  }

  /** Gives back the end of an item, from a multiple of `unit` on. */
  shrink(item: Reclaimable, from: number): boolean {
    const { base, bytes } = item.run;
    return this.#release(item, base + bytes - from);
  }

  /** Makes all memory of an item usable; returns false if the system refuses. */
  reuse(item: Reclaimable): boolean {
    if (item.freedState === "poisoned" && item.released === 0) return true;
    if (!this.#makeUsable(item.run)) return false;
    this.released -= item.released;
    item.released = 0;
    item.freedState = "poisoned";
    return true;
  }

  #makeUsable({ base, bytes }: Run): boolean {
    if (!this.#below) return true;
    const { operations } = this.#below;
    if (this.#protects && !operations.unprotect(base, bytes)) return false;
    return !operations.needsCommit || operations.commit(base, bytes);
  }

  /** Gives back the last `bytes` of an item. */
  #release(item: Reclaimable, bytes: number): boolean {
    if (!this.#below?.canRelease || bytes <= item.released) return false;
    const { base, bytes: all } = item.run;
    if (!this.#below.operations.decommit(base + all - bytes, bytes - item.released)) return false;
    this.released += bytes - item.released;
    item.released = bytes;
    return true;
  }
}
