/** Copies of texts, as C's libraries make them: wide strings, environment variables, paths. */
import { EINVAL, ENOMEM } from "../../common/errno.ts";
import { pathResolve } from "../../common/node-fs.ts";

/** Bytes of a wide character: 2 where it is UTF-16, 4 where it is C's wchar_t of wasm32. */
type WideUnit = 2 | 4;

/** Where copies come from and go to. */
export interface TextMemory {
  /** A block for a copy; 0 = out of memory. */
  malloc(size: number): number;
  /** The memory as it is now. */
  bytes(): Uint8Array;
}

/** A copy of the string of wide characters at ptr, with its 0; 0 for null or without memory. */
export function wideCopy(memory: TextMemory, ptr: number, unit: WideUnit): number {
  if (ptr === 0) return 0;
  const size = wideBytes(memory.bytes(), ptr, unit) + unit;
  const copy = memory.malloc(size);
  if (copy !== 0) memory.bytes().copyWithin(copy, ptr, ptr + size);
  return copy;
}

/**
 * The path at ptr without links and dots, in a new block or at `into`; 0 for null, for a path at
 * which there is nothing, without memory, and where there is no file system.
 */
export function pathCopy(memory: TextMemory, ptr: number, into: number): number {
  if (ptr === 0) return 0;
  const path = pathResolve(textAt(memory.bytes(), ptr, 1));
  if (path === undefined) return 0;
  const text = encode(`${path}\0`, 1);
  const at = into === 0 ? memory.malloc(text.length) : into;
  if (at !== 0) memory.bytes().set(text, at);
  return at;
}

/** Bytes before the first wide character that is 0. */
function wideBytes(bytes: Uint8Array, ptr: number, unit: WideUnit): number {
  let end = ptr;
  while (end < bytes.length && bytes.subarray(end, end + unit).some((byte) => byte !== 0)) {
    end += unit;
  }
  return end - ptr;
}

/**
 * A copy of the variable whose name is at `name`, both in characters of `unit` bytes: its address
 * goes to the word at `out`, its length without the 0 to the word at `size` if that is not 0.
 * Returns an errno; a variable that is not there is a null pointer.
 */
export function environmentCopy(
  memory: TextMemory,
  [out, size, name]: [number, number, number],
  unit: 1 | 2,
): number {
  if (out === 0 || name === 0) return EINVAL;
  if (size !== 0) wordWrite(memory, size, 0);
  const value = environmentOf(textAt(memory.bytes(), name, unit));
  if (value === undefined) {
    wordWrite(memory, out, 0);
    return 0;
  }
  const text = encode(`${value}\0`, unit);
  const copy = memory.malloc(text.length);
  wordWrite(memory, out, copy);
  if (copy === 0) return ENOMEM;
  memory.bytes().set(text, copy);
  if (size !== 0) wordWrite(memory, size, text.length / unit - 1);
  return 0;
}

function environmentOf(name: string): string | undefined {
  return typeof process === "object" ? process.env?.[name] : undefined;
}

function textAt(bytes: Uint8Array, ptr: number, unit: 1 | 2): string {
  const end = unit === 1 ? bytes.indexOf(0, ptr) : ptr + wideBytes(bytes, ptr, unit);
  return new TextDecoder(unit === 1 ? "utf-8" : "utf-16le").decode(bytes.slice(ptr, end));
}

function encode(text: string, unit: 1 | 2): Uint8Array {
  if (unit === 1) return new TextEncoder().encode(text);
  const codes = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
  return Uint8Array.from(codes.flatMap((code) => [code & 255, code >>> 8]));
}

/** Little-endian, as wasm has it, at any address. */
function wordWrite(memory: TextMemory, address: number, value: number): void {
  const bytes = memory.bytes();
  new DataView(bytes.buffer).setUint32(address, value, true);
}
