/** Memory beyond 2^32 through typed arrays, a window at a time. */
import type { AddressSpace } from "../core/contract.ts";

/** Bytes of a window: what one typed array views. */
export const WINDOW = 2 ** 24;

/** The loads and stores of an address space whose bytes can be viewed as typed arrays. */
export abstract class WindowSpace implements AddressSpace {
  /** For error texts: what kind of memory it is. */
  abstract readonly kind: string;
  /** The lowest address. */
  abstract readonly begin: number;
  /** Bytes from `begin` on that can be mapped. */
  abstract readonly bytes: number;
  readonly #windows = new Map<number, Uint32Array>();
  #last = -1;
  #words: Uint32Array = new Uint32Array(0);

  /** Makes a range usable; false, and no change, where there is no memory for it. */
  abstract map(address: number, bytes: number): boolean;
  /** Ends the use of a range, which may be mapped again. */
  abstract unmap(address: number, bytes: number): void;
  /** Returns the physical memory of a range to the system; it reads as zero afterwards. */
  abstract release(address: number, bytes: number): void;
  /** The words of the window that begins at an address. */
  protected abstract windowAt(address: number): Uint32Array;

  /** Reads the unsigned word at a multiple of 4. */
  load32(address: number): number {
    return this.#at(address)[(address % WINDOW) / 4] as number;
  }

  /** Writes an unsigned word at a multiple of 4. */
  store32(address: number, value: number): void {
    this.#at(address)[(address % WINDOW) / 4] = value;
  }

  /** Copies bytes between ranges, which may overlap. */
  copy(to: number, from: number, bytes: number): void {
    const copied = new Uint8Array(bytes);
    this.#pieces(from, bytes, (piece, done) => copied.set(piece, done));
    this.#pieces(to, bytes, (piece, done) => piece.set(copied.subarray(done, done + piece.length)));
  }

  /** Writes the byte `value` over a range. */
  fill(address: number, bytes: number, value: number): void {
    this.#pieces(address, bytes, (piece) => piece.fill(value));
  }

  /** Forgets all views: the memory has moved, or was destroyed. */
  protected windowsForget(): void {
    this.#windows.clear();
    this.#last = -1;
  }

  /** A range window by window. */
  #pieces(address: number, bytes: number, visit: (piece: Uint8Array, done: number) => void): void {
    for (let done = 0; done < bytes; ) {
      const words = this.#at(address + done);
      const from = (address + done) % WINDOW;
      const count = Math.min(bytes - done, WINDOW - from);
      visit(new Uint8Array(words.buffer, words.byteOffset + from, count), done);
      done += count;
    }
  }

  #at(address: number): Uint32Array {
    const window = Math.floor(address / WINDOW);
    return window === this.#last ? this.#words : this.#find(window);
  }

  #find(window: number): Uint32Array {
    const words = this.#windows.get(window) ?? this.windowAt(window * WINDOW);
    this.#windows.set(window, words);
    this.#last = window;
    this.#words = words;
    return words;
  }
}
