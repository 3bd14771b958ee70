/** .debug_info: names of functions, and which functions the compiler has inlined. */
import {
  addressAt,
  type DebugSections,
  DwarfError,
  DwarfReader,
  type FormBases,
  type FormValue,
  formRead,
} from "./dwarf.ts";

const TAG_INLINED = 0x1d;
const TAG_SUBPROGRAM = 0x2e;

const AT = {
  name: 0x03,
  stmtList: 0x10,
  lowPc: 0x11,
  highPc: 0x12,
  abstractOrigin: 0x31,
  specification: 0x47,
  ranges: 0x55,
  callColumn: 0x57,
  callFile: 0x58,
  callLine: 0x59,
  strOffsetsBase: 0x72,
  addrBase: 0x73,
  rngListsBase: 0x74,
} as const;

const FORM_ADDR = 0x01;
const FORM_REF_ADDR = 0x10;
const FORM_SEC_OFFSET = 0x17;
const isAddressForm = (form: number) =>
  form === FORM_ADDR || form === 0x1b || (form >= 0x29 && form <= 0x2c);

/** The most attributes of an entry, of which some take no byte. */
const ATTRIBUTES_MOST = 128;
/** The most entries of tables and ranges that one search reads: damaged lists refer to others. */
const STEPS_MOST = 1 << 22;

interface Abbreviation {
  readonly tag: number;
  readonly children: boolean;
  /** Attribute, form and implicit constant, flat. */
  readonly attributes: readonly number[];
}

interface Unit {
  readonly start: number;
  /** The first entry. */
  readonly entries: number;
  readonly end: number;
  readonly version: number;
  readonly offsetBytes: number;
  readonly addressBytes: number;
  readonly abbreviations: ReadonlyMap<number, Abbreviation>;
  bases: FormBases;
  lowPc: number;
  /** Where its line table begins. */
  lines: number;
  ranges: readonly AddressRange[];
}

type AddressRange = readonly [number, number];

interface Entry {
  readonly tag: number;
  readonly children: boolean;
  readonly values: ReadonlyMap<number, FormValue>;
  readonly forms: ReadonlyMap<number, number>;
}

/** A call that the compiler has inlined. */
export interface Inlined {
  readonly name: string | undefined;
  /** The unit's line table, for the number of the file. */
  readonly lines: number;
  readonly callFile: number;
  readonly callLine: number;
  readonly callColumn: number;
}

/** The function at an address, and the calls that were inlined there, innermost first. */
interface Scope {
  readonly name: string | undefined;
  readonly inlined: readonly Inlined[];
}

export class DebugInfo {
  readonly #sections: DebugSections;
  readonly #units: Unit[] = [];
  readonly #abbreviations = new Map<number, ReadonlyMap<number, Abbreviation>>();
  #steps = STEPS_MOST;

  /** @throws DwarfError if the sections are damaged. */
  constructor(sections: DebugSections) {
    this.#sections = sections;
    const reader = new DwarfReader(sections.info);
    while (reader.at + 4 <= reader.bytes.length) this.#unitRead(reader);
  }

  /** The function around an offset of the code section. */
  find(address: number): Scope | undefined {
    this.#steps = STEPS_MOST;
    const unit = this.#units.find((each) => inRanges(each.ranges, address));
    return unit && this.#scope(unit, address);
  }

  /** @throws DwarfError if a search takes too many steps. */
  #step(): void {
    if (--this.#steps < 0) throw new DwarfError("lists without an end");
  }

  #unitRead(reader: DwarfReader): void {
    const start = reader.at;
    const end = reader.unitEnd();
    const version = reader.u16();
    if (version < 2 || version > 5) {
      reader.at = end;
      return;
    }
    const type = version >= 5 ? reader.u8() : 1;
    if (version >= 5) reader.addressBytes = reader.u8();
    const abbreviations = this.#abbreviationsAt(reader.offset());
    if (version < 5) reader.addressBytes = reader.u8();
    if (type === 4 || type === 5) reader.skip(8);
    const { offsetBytes, addressBytes, at: entries } = reader;
    const bases = { strOffsets: 2 * offsetBytes, addr: 2 * offsetBytes, rngLists: 0 };
    const unit: Unit = {
      ...{ start, entries, end, version, offsetBytes, addressBytes, abbreviations },
      ...{ bases, lowPc: 0, lines: 0, ranges: [] },
    };
    this.#rootRead(unit);
    this.#units.push(unit);
    reader.at = end;
  }

  /** Reads the bases first, since other attributes of the root may need them. */
  #rootRead(unit: Unit): void {
    const number = (entry: Entry, at: number, missing: number) =>
      (entry.values.get(at) as number | undefined) ?? missing;
    const reader = this.#reader(unit, unit.entries);
    const root = this.#entry(reader, unit, (at) => at >= AT.strOffsetsBase || at === AT.stmtList);
    if (!root) return;
    unit.bases = {
      strOffsets: number(root, AT.strOffsetsBase, unit.bases.strOffsets),
      addr: number(root, AT.addrBase, unit.bases.addr),
      rngLists: number(root, AT.rngListsBase, unit.bases.rngLists),
    };
    unit.lines = number(root, AT.stmtList, 0);
    reader.at = unit.entries;
    const again = this.#entry(reader, unit, (at) => RANGE_ATTRIBUTES.has(at)) as Entry;
    unit.lowPc = number(again, AT.lowPc, 0);
    unit.ranges = this.#ranges(again, unit);
  }

  #reader(unit: Unit, at: number): DwarfReader {
    const reader = new DwarfReader(this.#sections.info, at, unit.end);
    reader.offsetBytes = unit.offsetBytes;
    reader.addressBytes = unit.addressBytes;
    return reader;
  }

  #abbreviationsAt(offset: number): ReadonlyMap<number, Abbreviation> {
    const known = this.#abbreviations.get(offset);
    if (known) return known;
    const table = new Map<number, Abbreviation>();
    const reader = new DwarfReader(this.#sections.abbrev, offset);
    for (let code = reader.uleb(); code !== 0; code = reader.uleb()) {
      const tag = reader.uleb();
      const children = reader.u8() === 1;
      const attributes: number[] = [];
      for (;;) {
        const [at, form] = [reader.uleb(), reader.uleb()];
        const constant = form === 0x21 ? reader.sleb() : 0;
        if (at === 0 && form === 0) break;
        attributes.push(at, form, constant);
        if (attributes.length > 3 * ATTRIBUTES_MOST) throw new DwarfError("too many attributes");
        this.#step();
      }
      table.set(code, { tag, children, attributes });
    }
    this.#abbreviations.set(offset, table);
    return table;
  }

  /** Reads the attributes of an entry that are wanted; undefined at the end of a list. */
  #entry(
    reader: DwarfReader,
    unit: Unit,
    wanted: (attribute: number) => boolean,
  ): Entry | undefined {
    const abbreviation = unit.abbreviations.get(reader.uleb());
    if (!abbreviation) return undefined;
    const values = new Map<number, FormValue>();
    const forms = new Map<number, number>();
    const { attributes, tag, children } = abbreviation;
    for (let i = 0; i < attributes.length; i += 3) {
      const [at, form] = [attributes[i] as number, attributes[i + 1] as number];
      const isText = form === 0x08 || form === 0x0e || form === 0x1f || form === 0x1a;
      if (!wanted(at) && isText && form !== 0x08) {
        form === 0x1a ? reader.uleb() : reader.offset();
        continue;
      }
      if (!wanted(at) && form >= 0x25 && form <= 0x2c) {
        reader.skip(((form - 0x25) & 3) + 1);
        continue;
      }
      const constant = attributes[i + 2] as number;
      const value =
        wanted(at) || form !== 0x1b
          ? formRead(reader, form, this.#sections, unit.bases, constant)
          : reader.uleb();
      if (!wanted(at)) continue;
      values.set(at, value);
      forms.set(at, form);
    }
    return { tag, children, values, forms };
  }

  #ranges(entry: Entry, unit: Unit): readonly AddressRange[] {
    const low = entry.values.get(AT.lowPc);
    const high = entry.values.get(AT.highPc);
    if (typeof low === "number" && typeof high === "number") {
      const isAddress = isAddressForm(entry.forms.get(AT.highPc) as number);
      // Code that the linker has removed has address 0, or all bits set.
      return low === 0 || low >= 0xfffffffe ? [] : [[low, isAddress ? high : low + high]];
    }
    const list = entry.values.get(AT.ranges);
    if (typeof list !== "number") return [];
    return unit.version >= 5 ? this.#rangeList(list, entry, unit) : this.#rangesOld(list, unit);
  }

  #rangesOld(offset: number, unit: Unit): readonly AddressRange[] {
    const reader = new DwarfReader(this.#sections.ranges, offset);
    const ranges: AddressRange[] = [];
    let base = unit.lowPc;
    for (;;) {
      this.#step();
      const [low, high] = [reader.u32(), reader.u32()];
      if (low === 0 && high === 0) return ranges;
      if (low === 0xffffffff) base = high;
      else if (low < 0xfffffffe) ranges.push([base + low, base + high]);
    }
  }

  #rangeList(value: number, entry: Entry, unit: Unit): readonly AddressRange[] {
    const sections = this.#sections;
    const { rngLists } = unit.bases;
    let offset = value;
    if (entry.forms.get(AT.ranges) !== FORM_SEC_OFFSET) {
      const at = new DwarfReader(sections.rngLists, rngLists + value * unit.offsetBytes);
      offset = rngLists + at.uint(unit.offsetBytes);
    }
    const reader = new DwarfReader(sections.rngLists, offset);
    reader.addressBytes = unit.addressBytes;
    const indexed = () => addressAt(reader, reader.uleb(), sections, unit.bases);
    const ranges: AddressRange[] = [];
    const add = (low: number, high: number) => {
      if (low !== 0 && low < 0xfffffffe) ranges.push([low, high]);
    };
    let base = unit.lowPc;
    for (;;) {
      this.#step();
      const kind = reader.u8();
      if (kind === 0) return ranges;
      if (kind === 1) base = indexed();
      else if (kind === 2) add(indexed(), indexed());
      else if (kind === 3) {
        const low = indexed();
        add(low, low + reader.uleb());
      } else if (kind === 4) add(base + reader.uleb(), base + reader.uleb());
      else if (kind === 5) base = reader.address();
      else if (kind === 6) add(reader.address(), reader.address());
      else if (kind === 7) {
        const low = reader.address();
        add(low, low + reader.uleb());
      } else return ranges;
    }
  }

  /** Walks down to the entries whose ranges contain the address. */
  #scope(unit: Unit, address: number): Scope | undefined {
    const reader = this.#reader(unit, unit.entries);
    const inlined: Inlined[] = [];
    let name: string | undefined;
    let found = false;
    let depth = 0;
    let foundDepth = 0;
    while (reader.at < unit.end) {
      const entry = this.#entry(reader, unit, isScopeAttribute);
      if (!entry) {
        if (--depth <= foundDepth && found) break;
        if (depth < 0) break;
        continue;
      }
      const isSub = entry.tag === TAG_SUBPROGRAM;
      if (isSub || entry.tag === TAG_INLINED) {
        if (inRanges(this.#ranges(entry, unit), address)) {
          if (isSub) {
            found = true;
            foundDepth = depth;
            name = this.#name(entry, unit, 0);
          } else if (found) inlined.unshift(this.#inlined(entry, unit));
        }
      }
      if (entry.children) depth++;
      else if (found && isSub && foundDepth === depth) break;
    }
    return found ? { name, inlined } : undefined;
  }

  #inlined(entry: Entry, unit: Unit): Inlined {
    const number = (at: number) => (entry.values.get(at) as number | undefined) ?? 0;
    return {
      name: this.#name(entry, unit, 0),
      lines: unit.lines,
      callFile: number(AT.callFile),
      callLine: number(AT.callLine),
      callColumn: number(AT.callColumn),
    };
  }

  /** The name of an entry, or of the declaration that it refers to. */
  #name(entry: Entry, unit: Unit, depth: number): string | undefined {
    const name = entry.values.get(AT.name);
    if (typeof name === "string") return name;
    for (const at of [AT.abstractOrigin, AT.specification]) {
      const reference = entry.values.get(at);
      if (typeof reference !== "number" || depth > 4) continue;
      const isFar = entry.forms.get(at) === FORM_REF_ADDR;
      const target = isFar ? reference : unit.start + reference;
      const other = this.#units.find((each) => target >= each.start && target < each.end);
      if (!other) continue;
      const entryThere = this.#entry(this.#reader(other, target), other, isScopeAttribute);
      if (entryThere) return this.#name(entryThere, other, depth + 1);
    }
    return undefined;
  }
}

const RANGE_ATTRIBUTES: ReadonlySet<number> = new Set([AT.lowPc, AT.highPc, AT.ranges]);
const SCOPE_ATTRIBUTES: ReadonlySet<number> = new Set([
  ...RANGE_ATTRIBUTES,
  ...[AT.name, AT.abstractOrigin, AT.specification, AT.callFile, AT.callLine, AT.callColumn],
]);

function isScopeAttribute(attribute: number): boolean {
  return SCOPE_ATTRIBUTES.has(attribute);
}

function inRanges(ranges: readonly AddressRange[], address: number): boolean {
  return ranges.some(([low, high]) => address >= low && address < high);
}
