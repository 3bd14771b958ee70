/**
 * The undefined bits of memory, for the host. Memory that was never written is filled with one
 * byte. Other bytes there were written by JavaScript or by code without checks, whose stores do not
 * change undefined bits.
 */
import { type Layout, NEVER_WRITTEN } from "../shadow/layout.ts";

/** How many bytes around an access are searched for bytes of other writers. */
const NEIGHBOURHOOD = 32;
const UNDEFINED = 0xff;

export class DefinedMemory {
  readonly #memory: Uint8Array;
  /** The undefined bits of each byte. */
  readonly #bits: Uint8Array;
  /** By word: where the undefined value that was stored there was read first; 0 if none was. */
  readonly #origins: Uint32Array;

  constructor(memory: WebAssembly.Memory, layout: Layout) {
    this.#origins = new Uint32Array(memory.buffer, layout.originStart);
    this.#memory = new Uint8Array(memory.buffer);
    this.#bits = new Uint8Array(memory.buffer, layout.definedStart);
  }

  /** Marks bytes as never written, and fills them. */
  undefine(address: number, length: number): void {
    this.#memory.fill(NEVER_WRITTEN, address, address + length);
    this.#bits.fill(UNDEFINED, address, address + length);
    this.#origins.fill(0, address >>> 2, (address + length + 3) >>> 2);
  }

  /** Marks bytes as defined. */
  define(address: number, length: number): void {
    this.#bits.fill(0, address, address + length);
  }

  /** Copies undefined bits and origins with the contents of a block. */
  copy(from: number, to: number, length: number): void {
    this.#bits.copyWithin(to, from, from + length);
    this.#origins.copyWithin(to >>> 2, from >>> 2, (from + length + 3) >>> 2);
  }

  /**
   * Called when an access has read undefined bits. Bytes that others have written become defined;
   * so do bytes that by chance are those of unwritten memory, if others have written near them.
   *
   * @returns where the bits were read first: here, or before they were stored here.
   */
  settle(address: number, length: number): number {
    const last = address + length - 1;
    for (let at = address; at <= (last | 3); at += 4) {
      const origin = this.#origins[at >>> 2] as number;
      if (origin !== 0) return origin > 1 ? origin : address;
    }
    this.#foreignFind(address, length);
    for (let at = address; at <= last; at++) if (this.#bits[at] !== 0) return at;
    return address;
  }

  #foreignFind(address: number, length: number): void {
    let isOpen = false;
    for (let at = address; at < address + length; at++) {
      if (this.#isForeign(at)) this.#bits[at] = 0;
      else if (this.#bits[at] === UNDEFINED) isOpen = true;
    }
    if (!isOpen) return;
    const last = address + length - 1;
    for (let step = 1; step <= NEIGHBOURHOOD; step++) {
      if (!this.#isForeign(address - step) && !this.#isForeign(last + step)) continue;
      this.#restDefine(address, length);
      return;
    }
  }

  #isForeign(address: number): boolean {
    if (this.#bits[address] !== UNDEFINED || this.#memory[address] === NEVER_WRITTEN) return false;
    return this.#origins[address >>> 2] === 0;
  }

  #restDefine(address: number, length: number): void {
    for (let at = address; at < address + length; at++) {
      if (this.#bits[at] === UNDEFINED) this.#bits[at] = 0;
    }
  }

  /** The first byte of a range with an undefined bit; -1 if there is none. */
  find(address: number, length: number): number {
    for (let at = address; at < address + length; at++) {
      if (this.#bits[at] === 0) continue;
      this.settle(at, 1);
      if (this.#bits[at] !== 0) return at;
    }
    return -1;
  }
}
