/** Copies of texts, as C's libraries make them: wide strings, environment variables, paths. */
import { EINVAL, ENOMEM } from "../../common/errno.ts";
import { unterminated } from "../../common/errors.ts";
import { pathResolve } from "../../common/node-fs.ts";
import { CELL_BYTES, cellWrite, checkInMemory } from "./cells.ts";

/** Bytes of a character: 1 = UTF-8, 2 = UTF-16, 4 = C's wchar_t of wasm32. */
type Unit = 1 | 2 | 4;

/** Where copies come from and go to. */
export interface TextMemory {
  /** The call that copies, for messages. */
  readonly call: string;
  /** A block for a copy; 0 = out of memory. */
  malloc(size: number): number;
  /** The memory as it is now. */
  bytes(): Uint8Array;
}

/**
 * A copy of at most `max` bytes of the string at ptr, with a NUL; 0 for null or without memory.
 *
 * @throws RangeError when the memory ends before the string does.
 */
export function stringCopy(memory: TextMemory, ptr: number, max: number): number {
  if (ptr === 0) return 0;
  const size = textBytes(memory, ptr, 1, max);
  const copy = memory.malloc(size + 1);
  if (copy === 0) return 0;
  const bytes = memory.bytes();
  bytes.copyWithin(copy, ptr, ptr + size);
  bytes[copy + size] = 0;
  return copy;
}

/**
 * A copy of the string of wide characters at ptr, with its 0; 0 for null or without memory.
 *
 * @throws RangeError when the memory ends before the string does.
 */
export function wideCopy(memory: TextMemory, ptr: number, unit: 2 | 4): number {
  if (ptr === 0) return 0;
  const size = textBytes(memory, ptr, unit) + unit;
  const copy = memory.malloc(size);
  if (copy !== 0) memory.bytes().copyWithin(copy, ptr, ptr + size);
  return copy;
}

/**
 * The path at ptr without links and dots, in a new block or at `into`; 0 for null, for a path at
 * which there is nothing, without memory, and where there is no file system.
 *
 * @throws RangeError when the memory ends before the path does, or has no space for it at `into`.
 */
export function pathCopy(memory: TextMemory, ptr: number, into: number): number {
  if (ptr === 0) return 0;
  const path = pathResolve(textAt(memory, ptr, 1));
  if (path === undefined) return 0;
  const text = encode(`${path}\0`, 1);
  checkInMemory(memory.call, memory.bytes().length, into, text.length);
  const at = into === 0 ? memory.malloc(text.length) : into;
  if (at !== 0) memory.bytes().set(text, at);
  return at;
}

/** Bytes of the text at ptr before the first character that is 0, at most `max`. */
function textBytes(memory: TextMemory, ptr: number, unit: Unit, max = Number.POSITIVE_INFINITY) {
  const bytes = memory.bytes();
  if (max === 0) return 0;
  const end = endOf(bytes, ptr, unit, ptr + max);
  if (end === undefined) throw unterminated(memory.call, ptr, bytes.length);
  return end - ptr;
}

/** Address of the first character from ptr on that is 0, or `limit`; undefined if neither is. */
function endOf(bytes: Uint8Array, ptr: number, unit: Unit, limit: number): number | undefined {
  for (let at = bytes.indexOf(0, ptr); at >= 0 && at < limit; at = bytes.indexOf(0, at + 1)) {
    const first = at - ((at - ptr) % unit);
    if (first + unit > bytes.length) break;
    if (isZero(bytes, first, unit)) return first;
  }
  return limit <= bytes.length ? limit : undefined;
}

function isZero(bytes: Uint8Array, at: number, unit: Unit): boolean {
  for (let i = 0; i < unit; i++) if (bytes[at + i] !== 0) return false;
  return true;
}

/**
 * A copy of the variable whose name is at `name`, both in characters of `unit` bytes: its address
 * goes to the word at `out`, its length without the 0 to the word at `size` if that is not 0.
 * Returns an errno; a variable that is not there is a null pointer.
 *
 * @throws RangeError when the memory ends before the name or one of the words does.
 */
export function environmentCopy(
  memory: TextMemory,
  [out, size, name]: [number, number, number],
  unit: 1 | 2,
): number {
  if (out === 0 || name === 0) return EINVAL;
  for (const cell of [out, size]) {
    checkInMemory(memory.call, memory.bytes().length, cell, CELL_BYTES);
  }
  const value = environmentOf(textAt(memory, name, unit));
  return value === undefined
    ? variablePut(memory, [out, size], 0, 0)
    : variableCopy(memory, [out, size], encode(`${value}\0`, unit), unit);
}

function variableCopy(
  memory: TextMemory,
  cells: [number, number],
  text: Uint8Array,
  unit: 1 | 2,
): number {
  const copy = memory.malloc(text.length);
  if (copy === 0) {
    variablePut(memory, cells, 0, 0);
    return ENOMEM;
  }
  memory.bytes().set(text, copy);
  return variablePut(memory, cells, copy, text.length / unit - 1);
}

function variablePut(
  memory: TextMemory,
  [out, size]: [number, number],
  copy: number,
  length: number,
): 0 {
  cellWrite(memory.call, memory.bytes(), out, copy);
  if (size !== 0) cellWrite(memory.call, memory.bytes(), size, length);
  return 0;
}

function environmentOf(name: string): string | undefined {
  return typeof process === "object" ? process.env?.[name] : undefined;
}

function textAt(memory: TextMemory, ptr: number, unit: 1 | 2): string {
  const length = textBytes(memory, ptr, unit);
  const text = memory.bytes().slice(ptr, ptr + length);
  return new TextDecoder(unit === 1 ? "utf-8" : "utf-16le").decode(text);
}

function encode(text: string, unit: 1 | 2): Uint8Array {
  if (unit === 1) return new TextEncoder().encode(text);
  const codes = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
  return Uint8Array.from(codes.flatMap((code) => [code & 255, code >>> 8]));
}
