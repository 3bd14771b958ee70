/** Types of values, by their byte in the binary format. */
import type { ByteReader } from "./bytes.ts";
import { unsupported } from "./errors.ts";

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
/** A reference to a function. */
export const FUNCREF = 0x70;

/** Reads a value type; of a reference to a type, only its first byte is returned. */
export function readValueType(reader: ByteReader): number {
  const at = reader.at;
  const type = reader.byte();
  if (type >= 0x69 && type <= 0x74) return type;
  if (type >= V128 && type <= I32) return type;
  if (!isReferenceTo(type)) {
    throw unsupported(at, `${reader.what}: value type 0x${type.toString(16)}`);
  }
  reader.signed(33);
  return type;
}

/** Whether a value type that begins with this byte has the number of a type behind it. */
export function isReferenceTo(byte: number | undefined): boolean {
  return byte === 0x63 || byte === 0x64;
}
