/** The line tables of DWARF 2 to 5: from an offset in the code section to file, line and column. */
import { type DebugSections, DwarfError, DwarfReader, type FormValue, formRead } from "./dwarf.ts";

/** A place in a source file. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A run of rising addresses, and its rows. */
interface Sequence {
  readonly start: number;
  readonly end: number;
  readonly from: number;
  readonly to: number;
  readonly files: readonly string[];
}

/** Fields of a row: address, file, line, column. */
const ROW = 4;

const NO_BASES = { strOffsets: 0, addr: 0, rngLists: 0 };

export class LineTables {
  readonly #sequences: Sequence[] = [];
  readonly #filesByOffset = new Map<number, readonly string[]>();
  readonly #rows: number[] = [];
  readonly #codeBytes: number;

  /** @throws DwarfError if the section is damaged. */
  constructor(sections: DebugSections, codeBytes: number) {
    this.#codeBytes = codeBytes;
    const reader = new DwarfReader(sections.line);
    while (reader.at + 4 <= reader.bytes.length) this.#unit(reader, sections);
    this.#sequences.sort((a, b) => a.start - b.start);
  }

  /** The files of the unit whose line table begins at `offset`. */
  files(offset: number): readonly string[] {
    return this.#filesByOffset.get(offset) ?? [];
  }

  find(address: number): SourcePosition | undefined {
    const sequence = this.#sequence(address);
    if (!sequence) return undefined;
    let [low, high] = [sequence.from, sequence.to];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#rows[middle * ROW] as number) <= address) low = middle + 1;
      else high = middle;
    }
    const row = (low - 1) * ROW;
    const file = sequence.files[this.#rows[row + 1] as number];
    const line = this.#rows[row + 2] as number;
    if (file === undefined || line === 0) return undefined;
    return { file, line, column: this.#rows[row + 3] as number };
  }

  #sequence(address: number): Sequence | undefined {
    let [low, high] = [0, this.#sequences.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sequences[middle] as Sequence).start <= address) low = middle + 1;
      else high = middle;
    }
    const sequence = this.#sequences[low - 1];
    return sequence && address < sequence.end ? sequence : undefined;
  }

  #unit(reader: DwarfReader, sections: DebugSections): void {
    const offset = reader.at;
    const end = reader.unitEnd();
    const version = reader.u16();
    if (version >= 2 && version <= 5) {
      const program = new LineProgram(reader, sections, version);
      this.#filesByOffset.set(offset, program.files);
      program.run(end, (rows) => this.#add(rows, program.files));
    }
    reader.at = end;
  }

  /** Code that the linker has removed has the address 0 or one outside the code. */
  #add(rows: readonly number[], files: readonly string[]): void {
    const start = rows[0] as number;
    const end = rows[rows.length - ROW] as number;
    if (start === 0 || start >= this.#codeBytes || end <= start) return;
    const from = this.#rows.length / ROW;
    for (const value of rows) this.#rows.push(value);
    this.#sequences.push({ start, end, from, to: this.#rows.length / ROW, files });
  }
}

class LineProgram {
  readonly files: string[] = [];
  readonly #reader: DwarfReader;
  readonly #start: number;
  readonly #least: number;
  readonly #lineBase: number;
  readonly #lineRange: number;
  readonly #opcodeBase: number;
  readonly #lengths: number[] = [0];

  constructor(reader: DwarfReader, sections: DebugSections, version: number) {
    this.#reader = reader;
    if (version >= 5) {
      reader.addressBytes = reader.u8();
      reader.skip(1);
    }
    const headerLength = reader.offset();
    this.#start = reader.at + headerLength;
    this.#least = reader.u8();
    if (version >= 4) reader.skip(1);
    reader.skip(1);
    this.#lineBase = reader.i8();
    this.#lineRange = reader.u8() || 1;
    this.#opcodeBase = reader.u8();
    for (let i = 1; i < this.#opcodeBase; i++) this.#lengths.push(reader.u8());
    if (version >= 5) this.#tables(sections);
    else this.#tablesOld();
  }

  /** Files are numbered from 1. Folder 0 is where the compiler ran: it is left out. */
  #tablesOld(): void {
    const reader = this.#reader;
    const folders = [""];
    for (let name = reader.text(); name !== ""; name = reader.text()) folders.push(name);
    this.files.push("");
    for (let name = reader.text(); name !== ""; name = reader.text()) {
      this.files.push(pathJoin(folders[reader.uleb()], name));
      reader.uleb();
      reader.uleb();
    }
  }

  #tables(sections: DebugSections): void {
    const folders = this.#table(sections).map((entry) => textOf(entry.get(1)));
    folders[0] = "";
    for (const entry of this.#table(sections)) {
      this.files.push(pathJoin(folders[entry.get(2) as number], textOf(entry.get(1))));
    }
  }

  #table(sections: DebugSections): Map<number, FormValue>[] {
    const reader = this.#reader;
    const formats = Array.from({ length: reader.u8() }, () => [reader.uleb(), reader.uleb()]);
    const entries: Map<number, FormValue>[] = [];
    for (let count = reader.uleb(), at = -1; count > 0; count--) {
      if (reader.at === at) throw new DwarfError("entries without contents");
      at = reader.at;
      const entry = new Map<number, FormValue>();
      for (const [content, form] of formats as [number, number][]) {
        entry.set(content, formRead(reader, form, sections, NO_BASES));
      }
      entries.push(entry);
    }
    return entries;
  }

  /** Runs the program; calls `done` with the rows of each sequence. The last row is its end. */
  run(end: number, done: (rows: readonly number[]) => void): void {
    const reader = this.#reader;
    const base = this.#opcodeBase;
    reader.at = this.#start;
    let [address, file, line, column] = [0, 1, 1, 0];
    let rows: number[] = [];
    while (reader.at < end) {
      const code = reader.u8();
      if (code >= base) {
        address += Math.floor((code - base) / this.#lineRange) * this.#least;
        line += this.#lineBase + ((code - base) % this.#lineRange);
        rows.push(address, file, line, column);
      } else if (code === 0) {
        const next = reader.uleb() + reader.at;
        const what = reader.u8();
        if (what === 1) {
          if (rows.length > 0) done([...rows, address, file, 0, 0]);
          [address, file, line, column] = [0, 1, 1, 0];
          rows = [];
        } else if (what === 2) address = reader.u32();
        reader.at = next;
      } else if (code === 1) rows.push(address, file, line, column);
      else if (code === 2) address += reader.uleb() * this.#least;
      else if (code === 3) line += reader.sleb();
      else if (code === 4) file = reader.uleb();
      else if (code === 5) column = reader.uleb();
      else if (code === 8) address += Math.floor((255 - base) / this.#lineRange) * this.#least;
      else if (code === 9) address += reader.u16();
      else for (let i = 0; i < (this.#lengths[code] as number); i++) reader.uleb();
    }
  }
}

/** Damaged tables have other values than texts. */
function textOf(value: FormValue): string {
  return typeof value === "string" ? value : "";
}

function pathJoin(folder: string | undefined, name: string): string {
  return folder && !name.startsWith("/") ? `${folder}/${name}` : name;
}
