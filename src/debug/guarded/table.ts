/**
 * What the memory says of guarded blocks, for threads that have other guards or none: they free
 * such a block by counting in its entry, and ask there for its size.
 * src/core/layout/layout-counts.ts draws it.
 */
import * as L from "../../core/layout/layout.ts";

export class GuardTable {
  readonly #words: () => Uint32Array;
  readonly #address: number;

  /** @param words The memory as it is now. */
  constructor(words: () => Uint32Array, address: number) {
    this.#words = words;
    this.#address = address;
  }

  came(index: number, ptr: number, size: number): void {
    const at = this.#entry(index);
    this.#words().set([ptr, size, 0], at);
  }

  went(index: number): void {
    this.#words()[this.#entry(index) + L.G_SIZE / 4] = L.GUARD_IS_FREE;
  }

  /** Entries whose blocks others have freed since the last call, each as often as they did. */
  *freedAfar(): Generator<number> {
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
