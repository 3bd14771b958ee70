/** Memory beyond 2^32 through typed arrays, a window at a time. */

/** Bytes that are seen through one typed array. */
import type { AddressSpace } from "../core/contract.ts";
export const WINDOW = 2 ** 24;

/** The accesses of an address space whose bytes can be viewed. */
export abstract class WindowSpace implements AddressSpace {
  abstract readonly kind: string;
  abstract readonly begin: number;
  abstract readonly bytes: number;
  readonly #windows = new Map<number, Uint32Array>();
  #last = -1;
  #words: Uint32Array = new Uint32Array(0);

  abstract map(address: number, bytes: number): boolean;
  abstract unmap(address: number, bytes: number): void;
  abstract release(address: number, bytes: number): void;
  /** The words of the window from an address on. */
  protected abstract windowAt(address: number): Uint32Array;

  load32(address: number): number {
    return this.#at(address)[(address % WINDOW) / 4] as number;
  }

  store32(address: number, value: number): void {
    this.#at(address)[(address % WINDOW) / 4] = value;
  }

  copy(to: number, from: number, bytes: number): void {
    const copied = new Uint8Array(bytes);
    this.#pieces(from, bytes, (piece, done) => copied.set(piece, done));
    this.#pieces(to, bytes, (piece, done) => piece.set(copied.subarray(done, done + piece.length)));
  }

  fill(address: number, bytes: number, value: number): void {
    this.#pieces(address, bytes, (piece) => piece.fill(value));
  }

  /** The memory has moved, or has ended. */
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
