/**
 * The undefined bits beside memory, from the host's side. What is new is filled with one byte
 * everywhere: so what JavaScript, or code without checks, has written can be told from what nobody
 * has, although no store of theirs is seen.
 */
import { type Layout, NEVER_WRITTEN } from "../shadow/layout.ts";

/** How far around an access a sign of other writers is looked for. */
const NEIGHBOURHOOD = 32;
const UNDEFINED = 0xff;

export class DefinedMemory {
  readonly #memory: Uint8Array;
  /** The undefined bits of each byte. */
  readonly #bits: Uint8Array;
  /** By word: where something undefined that was stored there had been read; 0 when nothing was. */
  readonly #origins: Uint32Array;

  constructor(memory: WebAssembly.Memory, layout: Layout) {
    this.#origins = new Uint32Array(memory.buffer, layout.originStart);
    this.#memory = new Uint8Array(memory.buffer);
    this.#bits = new Uint8Array(memory.buffer, layout.definedStart);
  }

  /** Nobody has written these bytes. */
  undefine(address: number, length: number): void {
    this.#memory.fill(NEVER_WRITTEN, address, address + length);
    this.#bits.fill(UNDEFINED, address, address + length);
    this.#origins.fill(0, address >>> 2, (address + length + 3) >>> 2);
  }

  define(address: number, length: number): void {
    this.#bits.fill(0, address, address + length);
  }

  copy(from: number, to: number, length: number): void {
    this.#bits.copyWithin(to, from, from + length);
    this.#origins.copyWithin(to >>> 2, from >>> 2, (from + length + 3) >>> 2);
  }

  /**
   * An access has met undefined bits. Bytes that others have written become defined; those that
   * hold by chance what unwritten memory holds do so too, when others have written beside them.
   * Answers where the bits were read first: here, or before they were stored here.
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
      this.#chanceEnd(address, length);
      return;
    }
  }

  #isForeign(address: number): boolean {
    if (this.#bits[address] !== UNDEFINED || this.#memory[address] === NEVER_WRITTEN) return false;
    return this.#origins[address >>> 2] === 0;
  }

  #chanceEnd(address: number, length: number): void {
    for (let at = address; at < address + length; at++) {
      if (this.#bits[at] === UNDEFINED) this.#bits[at] = 0;
    }
  }

  /** The first byte of a range with an undefined bit; -1 when there is none. */
  find(address: number, length: number): number {
    for (let at = address; at < address + length; at++) {
      if (this.#bits[at] === 0) continue;
      this.settle(at, 1);
      if (this.#bits[at] !== 0) return at;
    }
    return -1;
  }
}
