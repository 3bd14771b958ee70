/**
 * The table of guarded blocks in the memory itself, for threads that have other guards or none:
 * they free such a block by counting in its entry, and read its size there.
 * src/core/layout/layout-counts.ts has the layout.
 */
import * as L from "../../core/layout/layout.ts";

export class GuardTable {
  readonly #words: () => Uint32Array;
  readonly #address: number;

  /** @param words Returns the memory as it is now. */
  constructor(words: () => Uint32Array, address: number) {
    this.#words = words;
    this.#address = address;
  }

  /** Enters a new block. */
  add(index: number, ptr: number, size: number): void {
    const at = this.#entry(index);
    this.#words().set([ptr, size, 0], at);
  }

  /** Marks the block of an entry as free. */
  remove(index: number): void {
    this.#words()[this.#entry(index) + L.G_SIZE / 4] = L.GUARD_IS_FREE;
  }

  /** Entries whose blocks other threads have freed since the last call, once for each free. */
  *takeRemoteFrees(): Generator<number> {
    const words = this.#words();
    const total = (this.#address + L.GUARDS_FREES) >>> 2;
    if (Atomics.load(words, total) === 0) return;
    Atomics.store(words, total, 0);
    const count = words[(this.#address + L.GUARDS_COUNT) >>> 2] as number;
    for (let index = 0; index < count; index++) {
      const at = this.#entry(index) + L.G_FREES / 4;
      if (words[at] === 0) continue;
      for (let left = Atomics.exchange(words, at, 0); left > 0; left--) yield index;
    }
  }

  #entry(index: number): number {
    return (this.#address + L.GUARDS_FIRST + index * L.GUARD_ENTRY) >>> 2;
  }
}
