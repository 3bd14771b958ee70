/** What mimalloc has of Microsoft's C library: wide strings, and copies of the environment's. */
import { EINVAL, ENOMEM } from "../../common/errno.ts";
import type { CoreExports } from "../../core/contract.ts";

/** Bytes of a wide character: 2 where it is UTF-16, 4 where it is C's wchar_t of wasm32. */
type WideUnit = 2 | 4;

/** Where copies come from and go to. */
export interface WidePlace {
  readonly core: Pick<CoreExports, "malloc">;
  bytes(): Uint8Array;
}

/** A copy of the string of wide characters at ptr, with its 0; 0 for null or without memory. */
export function wideCopy(place: WidePlace, ptr: number, unit: WideUnit): number {
  if (ptr === 0) return 0;
  const size = wideBytes(place.bytes(), ptr, unit) + unit;
  const copy = place.core.malloc(size) >>> 0;
  if (copy !== 0) place.bytes().copyWithin(copy, ptr, ptr + size);
  return copy;
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
 * Answers an errno; a variable that is not there is a null pointer.
 */
export function environmentCopy(
  place: WidePlace,
  [out, size, name]: [number, number, number],
  unit: 1 | 2,
): number {
  if (out === 0 || name === 0) return EINVAL;
  if (size !== 0) wordWrite(place, size, 0);
  const value = environmentOf(textAt(place.bytes(), name, unit));
  if (value === undefined) {
    wordWrite(place, out, 0);
    return 0;
  }
  const text = encode(`${value}\0`, unit);
  const copy = place.core.malloc(text.length) >>> 0;
  wordWrite(place, out, copy);
  if (copy === 0) return ENOMEM;
  place.bytes().set(text, copy);
  if (size !== 0) wordWrite(place, size, text.length / unit - 1);
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
function wordWrite(place: WidePlace, address: number, value: number): void {
  const bytes = place.bytes();
  new DataView(bytes.buffer).setUint32(address, value, true);
}
