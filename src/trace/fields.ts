/**
 * A line of a trace, divided into fields. They are bytes, not strings: lines cost no allocation.
 */

const SPACE = 32;
const TAB = 9;
const RETURN = 13;
const HASH = 35;
const ZERO = 48;
const MINUS = 45;

/** More fields than any line may have: the rest of a line is not read. */
const FIELDS_MAX = 8;

/** Results of fieldNumber that are not numbers. */
export const NOT_A_NUMBER = -1;
export const NEGATIVE = -2;

interface Fields {
  bytes: Uint8Array;
  count: number;
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
}

export function fieldsCreate(): Fields {
  const starts = new Uint32Array(FIELDS_MAX);
  const ends = new Uint32Array(FIELDS_MAX);
  return { bytes: new Uint8Array(0), count: 0, starts, ends };
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB || byte === RETURN;
}

/** Divides bytes[from, to) into fields; a comment has none. */
export function fieldsCut(fields: Fields, bytes: Uint8Array, from: number, to: number): void {
  fields.bytes = bytes;
  fields.count = 0;
  let at = from;
  while (fields.count < FIELDS_MAX) {
    while (at < to && isBlank(bytes[at])) at++;
    if (at >= to || (fields.count === 0 && bytes[at] === HASH)) return;
    fields.starts[fields.count] = at;
    while (at < to && !isBlank(bytes[at])) at++;
    fields.ends[fields.count++] = at;
  }
}

/** The byte of a field of one byte; 0 for longer fields. */
export function fieldByte(fields: Fields, index: number): number {
  const start = fields.starts[index] as number;
  return fields.ends[index] === start + 1 ? (fields.bytes[start] as number) : 0;
}

/** A whole number in decimal, exact up to 2^53; NOT_A_NUMBER or NEGATIVE otherwise. */
export function fieldNumber(fields: Fields, index: number): number {
  const { bytes } = fields;
  const start = fields.starts[index] as number;
  const end = fields.ends[index] as number;
  const minus = bytes[start] === MINUS && end > start + 1;
  let value = 0;
  for (let at = minus ? start + 1 : start; at < end; at++) {
    const digit = (bytes[at] as number) - ZERO;
    if (digit < 0 || digit > 9) return NOT_A_NUMBER;
    value = value * 10 + digit;
  }
  return minus && value > 0 ? NEGATIVE : value;
}

const SHOWN = 24;

/** A field for an error text: short, and without characters that change a terminal. */
export function fieldText(fields: Fields, index: number): string {
  const start = fields.starts[index] as number;
  const end = fields.ends[index] as number;
  const text = Buffer.from(fields.bytes.subarray(start, Math.min(end, start + SHOWN)));
  const plain = text.toString("latin1").replace(/[^!-~]/g, "?");
  return end - start > SHOWN ? `${plain}…` : plain;
}
