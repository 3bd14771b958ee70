/** Words whose addresses a call is given: at any address, little-endian as in wasm. */
import { pastMemory } from "../../common/errors.ts";

/** Bytes of a pointer and of a size_t. */
export const CELL_BYTES = 4;

/**
 * All bytes of a memory. A view of a shared one stays when a program grows the memory itself, and
 * ends too early; others are detached, and made again.
 */
export function wholeBytes(view: Uint8Array, buffer: ArrayBufferLike | undefined): Uint8Array {
  if (buffer === undefined || buffer.byteLength <= view.byteLength) return view;
  return new Uint8Array(buffer);
}

/** @throws RangeError when the memory ends before `length` bytes at `address`. */
export function checkInMemory(call: string, limit: number, address: number, length: number): void {
  if (address + length > limit) throw pastMemory(call, address, length, limit);
}

/** @throws RangeError for an address, other than null, at which the memory has no word. */
export function checkCellIn(call: string, bytes: Uint8Array, address: number): void {
  if (address !== 0) checkInMemory(call, bytes.length, address, CELL_BYTES);
}

/** @throws RangeError when the memory ends before. */
export function cellRead(call: string, bytes: Uint8Array, address: number): number {
  checkInMemory(call, bytes.length, address, CELL_BYTES);
  return viewOf(bytes).getUint32(address, true);
}

/** @throws RangeError when the memory ends before. */
export function cellWrite(call: string, bytes: Uint8Array, address: number, value: number): void {
  checkInMemory(call, bytes.length, address, CELL_BYTES);
  viewOf(bytes).setUint32(address, value, true);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
