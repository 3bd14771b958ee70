/** Reads and writes the numbers and names of the binary format. */
import { damaged, type ModuleError } from "./errors.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Reads forward through a part of a file; reading past its end is an error with the offset. */
export class ByteReader {
  readonly bytes: Uint8Array;
  /** The next byte, counted from the beginning of `bytes`. */
  at: number;
  end: number;
  /** What is being read, for error texts. */
  what: string;

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length, what = "module") {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.what = what;
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  byte(): number {
    if (this.at >= this.end) throw this.#early();
    return this.bytes[this.at++] as number;
  }

  /** An unsigned LEB128 number of 32 bits; one byte is the common case. */
  u32(): number {
    const first = this.byte();
    return first < 0x80 ? first : this.#u32Long(first & 0x7f);
  }

  #u32Long(low: number): number {
    const start = this.at - 1;
    let value = low;
    for (let scale = 128; scale <= 2 ** 28; scale *= 128) {
      const next = this.byte();
      value += (next & 0x7f) * scale;
      if (next >= 0x80) continue;
      if (value >= 2 ** 32) break;
      return value;
    }
    throw damaged(start, `${this.what}: a number has more than 32 bits`);
  }

  /** An unsigned LEB128 number of 64 bits, as a double: exact up to 2^53. */
  u64(): number {
    const first = this.bytes[this.at] as number;
    if (first >= 0x80 || this.at >= this.end) return this.#u64Long();
    this.at++;
    return first;
  }

  #u64Long(): number {
    const start = this.at;
    let value = 0;
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      const next = this.byte();
      value += (next & 0x7f) * scale;
      if (next < 0x80) return value;
    }
    throw damaged(start, `${this.what}: a number has more than 64 bits`);
  }

  /** A signed LEB128 number of up to `bits` bits, as a double: exact up to 2^53. */
  signed(bits: number): number {
    const first = this.bytes[this.at] as number;
    if (first >= 0x80 || this.at >= this.end) return this.#signedLong(bits);
    this.at++;
    return (first << 25) >> 25;
  }

  #signedLong(bits: number): number {
    const start = this.at;
    let value = 0;
    let scale = 1;
    for (let shift = 0; shift < bits; shift += 7) {
      const next = this.byte();
      value += (next & 0x7f) * scale;
      scale *= 128;
      if (next < 0x80) return next & 0x40 ? value - scale : value;
    }
    throw damaged(start, `${this.what}: a number has more than ${bits} bits`);
  }

  skip(count: number): void {
    if (count > this.end - this.at) throw this.#early();
    this.at += count;
  }

  /** The next `count` bytes, not copied. */
  take(count: number): Uint8Array {
    const from = this.at;
    this.skip(count);
    return this.bytes.subarray(from, this.at);
  }

  name(): string {
    return decoder.decode(this.take(this.u32()));
  }

  /** A reader for the next `count` bytes, which this one skips. */
  part(count: number, what: string): ByteReader {
    const from = this.at;
    if (count > this.end - from) {
      throw damaged(from, `${what} has ${count} bytes, but only ${this.end - from} are there`);
    }
    this.at += count;
    return new ByteReader(this.bytes, from, this.at, what);
  }

  #early(): ModuleError {
    return damaged(this.end, `${this.what} ends too early`);
  }
}

/** Bytes that grow; `length` of them are written. */
export class ByteWriter {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity = 1024) {
    this.bytes = new Uint8Array(capacity);
  }

  #reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    larger.set(this.bytes);
    this.bytes = larger;
  }

  byte(value: number): void {
    if (this.length === this.bytes.length) this.#reserve(1);
    this.bytes[this.length++] = value;
  }

  u32(value: number): void {
    this.#reserve(5);
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  /** A signed number of 32 bits. */
  i32(value: number): void {
    this.#reserve(5);
    let rest = value | 0;
    while (rest < -64 || rest > 63) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>= 7;
    }
    this.bytes[this.length++] = rest & 0x7f;
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Bytes `from` to `to` of another array; cheaper than a subarray for the short runs of code. */
  copy(bytes: Uint8Array, from: number, to: number): void {
    const count = to - from;
    this.#reserve(count);
    if (count > 32) this.bytes.set(bytes.subarray(from, to), this.length);
    else for (let i = 0; i < count; i++) this.bytes[this.length + i] = bytes[from + i] as number;
    this.length += count;
  }

  name(text: string): void {
    const bytes = encoder.encode(text);
    this.u32(bytes.length);
    this.append(bytes);
  }

  /** A section, subsection or body: its length, then its bytes. */
  sized(part: ByteWriter): void {
    this.u32(part.length);
    this.append(part.written);
  }

  /** What has been written, not copied. */
  get written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}
