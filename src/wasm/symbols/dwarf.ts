/** DWARF in a module: the bytes of its sections, and the forms of values in them. */
import type { Module } from "../module/module.ts";

const decoder = new TextDecoder();
const EMPTY = new Uint8Array();
/** The most bytes of a text. */
const TEXT_MOST = 1 << 16;
const FORM_INDIRECT = 0x16;

/** Damaged debug information, which is then not used. */
export class DwarfError extends Error {}

/** The sections that this reader uses. */
export interface DebugSections {
  readonly info: Uint8Array;
  readonly abbrev: Uint8Array;
  readonly line: Uint8Array;
  readonly str: Uint8Array;
  readonly lineStr: Uint8Array;
  readonly strOffsets: Uint8Array;
  readonly addr: Uint8Array;
  readonly ranges: Uint8Array;
  readonly rngLists: Uint8Array;
}

export function debugSections(module: Module): DebugSections {
  const bytes = (name: string) => {
    const section = module.sections.find((each) => each.name === name);
    return section ? module.bytes.subarray(section.start, section.end) : EMPTY;
  };
  return {
    info: bytes(".debug_info"),
    abbrev: bytes(".debug_abbrev"),
    line: bytes(".debug_line"),
    str: bytes(".debug_str"),
    lineStr: bytes(".debug_line_str"),
    strOffsets: bytes(".debug_str_offsets"),
    addr: bytes(".debug_addr"),
    ranges: bytes(".debug_ranges"),
    rngLists: bytes(".debug_rnglists"),
  };
}

/** Reads little-endian values and LEB128 numbers forward. */
export class DwarfReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  at: number;
  readonly end: number;
  /** Bytes of a section offset: 4, or 8 in 64-bit DWARF. */
  offsetBytes = 4;
  addressBytes = 4;

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    // A damaged section can have text where a number belongs.
    if (!Number.isInteger(at) || at < 0 || at > bytes.length || end > bytes.length) {
      throw new DwarfError("offset outside of section");
    }
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
    this.end = end;
  }

  #step(count: number): number {
    const from = this.at;
    this.at += count;
    if (count < 0 || this.at > this.bytes.length) throw new DwarfError("ends too early");
    return from;
  }

  skip(count: number): void {
    this.#step(count);
  }

  u8(): number {
    return this.bytes[this.#step(1)] as number;
  }

  i8(): number {
    return (this.u8() << 24) >> 24;
  }

  u16(): number {
    return this.#view.getUint16(this.#step(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#step(4), true);
  }

  u64(): number {
    const low = this.u32();
    return low + this.u32() * 2 ** 32;
  }

  uint(bytes: number): number {
    if (bytes === 1) return this.u8();
    if (bytes === 2) return this.u16();
    if (bytes === 3) return this.u16() + this.u8() * 65536;
    return bytes === 8 ? this.u64() : this.u32();
  }

  uleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  sleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return byte & 0x40 ? value - scale * 128 : value;
    }
  }

  text(): string {
    const from = this.at;
    let to = from;
    const end = Math.min(this.bytes.length, from + TEXT_MOST);
    while (to < end && this.bytes[to] !== 0) to++;
    if (to === from + TEXT_MOST) throw new DwarfError("text without an end");
    this.at = to + 1;
    return decoder.decode(this.bytes.subarray(from, to));
  }

  offset(): number {
    return this.offsetBytes === 8 ? this.u64() : this.u32();
  }

  address(): number {
    return this.uint(this.addressBytes);
  }

  /** Reads a unit's length; sets the size of offsets, and returns the end of the unit. */
  unitEnd(): number {
    const length = this.u32();
    this.offsetBytes = length === 0xffffffff ? 8 : 4;
    const bytes = length === 0xffffffff ? this.u64() : length;
    return Math.min(this.at + bytes, this.bytes.length);
  }
}

function textAt(bytes: Uint8Array, offset: number): string {
  return new DwarfReader(bytes, offset).text();
}

/** Offsets of the strings, addresses and lists of a unit, for forms that are indices. */
export interface FormBases {
  readonly strOffsets: number;
  readonly addr: number;
  readonly rngLists: number;
}

/** A value: a number, a text, or undefined for forms that are not used. */
export type FormValue = number | string | undefined;

const FIXED: Readonly<Record<number, number>> = {
  5: 2,
  6: 4,
  7: 8,
  11: 1,
  12: 1,
  17: 1,
  18: 2,
  19: 4,
  20: 8,
};
const INDEX_BYTES: Readonly<Record<number, number>> = { 0: 1, 1: 2, 2: 3, 3: 4 };

/** Reads a value of a form. `constant` is the value of an implicit constant. */
export function formRead(
  reader: DwarfReader,
  form: number,
  sections: DebugSections,
  bases: FormBases,
  constant = 0,
): FormValue {
  const fixed = FIXED[form];
  if (fixed !== undefined) return reader.uint(fixed);
  if (form >= 0x25 && form <= 0x28) {
    return stringAt(reader, reader.uint(INDEX_BYTES[form - 0x25] as number), sections, bases);
  }
  if (form >= 0x29 && form <= 0x2c) {
    return addressAt(reader, reader.uint(INDEX_BYTES[form - 0x29] as number), sections, bases);
  }
  switch (form) {
    case 0x01:
      return reader.address();
    case 0x08:
      return reader.text();
    case 0x0d:
      return reader.sleb();
    case 0x0e:
      return textAt(sections.str, reader.offset());
    case 0x0f:
    case 0x15:
    case 0x22:
    case 0x23:
      return reader.uleb();
    case 0x10:
    case 0x17:
      return reader.offset();
    case FORM_INDIRECT:
      return indirectRead(reader, sections, bases);
    case 0x19:
      return 1;
    case 0x1a:
      return stringAt(reader, reader.uleb(), sections, bases);
    case 0x1b:
      return addressAt(reader, reader.uleb(), sections, bases);
    case 0x1f:
      return textAt(sections.lineStr, reader.offset());
    case 0x21:
      return constant;
    default:
      return bytesSkip(reader, form);
  }
}

/** The form is beside the value. It cannot be indirect again, or a chain of them had no end. */
function indirectRead(reader: DwarfReader, sections: DebugSections, bases: FormBases): FormValue {
  const form = reader.uleb();
  if (form === FORM_INDIRECT) throw new DwarfError("an indirect form of an indirect form");
  return formRead(reader, form, sections, bases);
}

function bytesSkip(reader: DwarfReader, form: number): undefined {
  if (form === 0x03) reader.skip(reader.u16());
  else if (form === 0x04) reader.skip(reader.u32());
  else if (form === 0x09 || form === 0x18) reader.skip(reader.uleb());
  else if (form === 0x0a) reader.skip(reader.u8());
  else if (form === 0x1c) reader.skip(4);
  else if (form === 0x1d) reader.offset();
  else if (form === 0x1e) reader.skip(16);
  else if (form === 0x20 || form === 0x24) reader.skip(8);
  else throw new DwarfError(`form 0x${form.toString(16)}`);
  return undefined;
}

function stringAt(
  reader: DwarfReader,
  index: number,
  sections: DebugSections,
  bases: FormBases,
): string {
  const { offsetBytes } = reader;
  const at = new DwarfReader(sections.strOffsets, bases.strOffsets + index * offsetBytes);
  return textAt(sections.str, at.uint(offsetBytes));
}

/** An address by its index in .debug_addr. */
export function addressAt(
  reader: DwarfReader,
  index: number,
  sections: DebugSections,
  bases: FormBases,
): number {
  const { addressBytes } = reader;
  return new DwarfReader(sections.addr, bases.addr + index * addressBytes).uint(addressBytes);
}
