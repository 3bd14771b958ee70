/** Byte strings that grow, in the memory of a region. */
import { type AllocatorBase, currentRegion } from "../layers/index.ts";
import { Growing } from "./growing.ts";

/**
 * A growing string of bytes; text is UTF-8. Its memory comes from one allocator, by default the
 * region that was current when the string was made, and ends with that region.
 *
 * @example
 * const text = new ByteString("grü").append("ße");
 * text.toString(); // grüße
 * text.length; // 7
 */
export class ByteString implements Disposable {
  readonly #block: Growing;
  #length = 0;

  /**
   * @param value the first bytes. Default: none.
   * @param allocator where the memory comes from. Default: the current region.
   * @throws HeapError ERR_OUT_OF_MEMORY; TypeError for a value that is not text or bytes.
   */
  constructor(value: string | Uint8Array = "", allocator: AllocatorBase = currentRegion()) {
    this.#block = new Growing(allocator);
    this.append(value);
  }

  /** Number of bytes, not of characters. */
  get length(): number {
    return this.#length;
  }

  /** Address of the first byte; 0 before the first one. Growth may change it. */
  get ptr(): number {
    return this.#block.ptr;
  }

  /** The bytes as a view of the memory, which is valid until the next allocation. */
  get bytes(): Uint8Array {
    return this.#block.allocator.u8.subarray(this.ptr, this.ptr + this.#length);
  }

  /**
   * Appends text or bytes, which may be those of this string; returns the string.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY; the string is as it was then. TypeError for a value that
   * is not text or bytes.
   */
  append(value: string | Uint8Array | ByteString): this {
    if (value instanceof ByteString) return this.append(value.bytes.slice());
    const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
    if (!(bytes instanceof Uint8Array)) throw new TypeError("append: needs text or bytes");
    // The memory may move when the block grows, and with it bytes that lie in it.
    const inside = bytes.buffer === this.#block.allocator.buffer ? bytes.slice() : bytes;
    this.#block.reserve(this.#length + inside.length);
    this.#block.allocator.u8.set(inside, this.ptr + this.#length);
    this.#length += inside.length;
    return this;
  }

  /** The byte at an index; negative ones count from the end. undefined = there is none. */
  at(index: number): number | undefined {
    return this.bytes.at(index);
  }

  /** Whether the bytes are those of another string or text. */
  equals(other: string | Uint8Array | ByteString): boolean {
    const theirs = bytesOf(other);
    const ours = this.bytes;
    return ours.length === theirs.length && ours.every((byte, i) => byte === theirs[i]);
  }

  /** Removes all bytes; keeps the memory. */
  clear(): void {
    this.#length = 0;
  }

  /** The text, decoded as UTF-8. */
  toString(): string {
    return new TextDecoder().decode(this.bytes.slice());
  }

  /** Gives the memory back. The string is empty then, and can be used again. */
  free(): void {
    this.#block.free();
    this.#length = 0;
  }

  /** `free`, for `using`. */
  [Symbol.dispose](): void {
    this.free();
  }
}

function bytesOf(value: string | Uint8Array | ByteString): Uint8Array {
  if (typeof value === "string") return new TextEncoder().encode(value);
  return value instanceof ByteString ? value.bytes : value;
}
