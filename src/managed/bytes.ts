/** Byte strings that grow, in the memory of a region. */
import { type AllocatorBase, currentRegion } from "../layers/index.ts";
import { Growing } from "./growing.ts";

/**
 * A growing string of bytes, UTF-8 where it is text. It stays in the region that was current when
 * it was made.
 *
 * @example
 * const text = new ByteString("grü").append("ße");
 * text.toString(); // grüße
 * text.length; // 7
 */
export class ByteString implements Disposable {
  readonly #block: Growing;
  #length = 0;

  constructor(value: string | Uint8Array = "", allocator: AllocatorBase = currentRegion()) {
    this.#block = new Growing(allocator);
    this.append(value);
  }

  /** Bytes, not characters. */
  get length(): number {
    return this.#length;
  }

  /** Address of the first byte; 0 while there was none. Growth may change it. */
  get ptr(): number {
    return this.#block.ptr;
  }

  /** The bytes in place, until something allocates. */
  get bytes(): Uint8Array {
    return this.#block.allocator.u8.subarray(this.ptr, this.ptr + this.#length);
  }

  /**
   * Adds text or bytes, which may be this string's own.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY; nothing was added then.
   */
  append(value: string | Uint8Array | ByteString): this {
    if (value instanceof ByteString) return this.append(value.bytes.slice());
    const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
    if (!(bytes instanceof Uint8Array)) throw new TypeError("append: needs text or bytes");
    // The memory may move while room is made, and with it bytes that lie in it.
    const inside = bytes.buffer === this.#block.allocator.buffer ? bytes.slice() : bytes;
    this.#block.reserve(this.#length + inside.length);
    this.#block.allocator.u8.set(inside, this.ptr + this.#length);
    this.#length += inside.length;
    return this;
  }

  /** The byte at an index; negative ones count from the end. */
  at(index: number): number | undefined {
    return this.bytes.at(index);
  }

  equals(other: string | Uint8Array | ByteString): boolean {
    const theirs = bytesOf(other);
    const ours = this.bytes;
    return ours.length === theirs.length && ours.every((byte, i) => byte === theirs[i]);
  }

  clear(): void {
    this.#length = 0;
  }

  toString(): string {
    return new TextDecoder().decode(this.bytes.slice());
  }

  /** Gives the memory back; the string is empty and can be used again. */
  free(): void {
    this.#length = 0;
    this.#block.free();
  }

  [Symbol.dispose](): void {
    this.free();
  }
}

function bytesOf(value: string | Uint8Array | ByteString): Uint8Array {
  if (typeof value === "string") return new TextEncoder().encode(value);
  return value instanceof ByteString ? value.bytes : value;
}
