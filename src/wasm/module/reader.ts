/** Reads a module and checks its structure. Types of operands are left to the engine. */
import { ByteReader } from "./bytes.ts";
import { CodeReader, constantExpression } from "./code.ts";
import { damaged, unsupported } from "./errors.ts";
import {
  type Body,
  type CodeFacts,
  type DataSegment,
  type Export,
  type FunctionType,
  type Global,
  type Import,
  KIND,
  type Limits,
  type Memory,
  type Module,
  SECTION,
  SECTION_NAMES,
  SECTION_ORDER,
  type Section,
} from "./module.ts";
import { op } from "./opcodes.ts";
import { codeScan } from "./scan.ts";
import { readValueType } from "./value-types.ts";

const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const VERSION = [1, 0, 0, 0];
const COMPONENT = [0x0d, 0, 1, 0];

/**
 * Reads a finished WebAssembly module.
 *
 * Reads sections, index spaces and the structure of all code; types of operands are not checked
 * (WebAssembly.validate does that). Handles WebAssembly 2.0, threads, tail calls, both kinds of
 * exception handling, 64-bit memories, several memories, relaxed vectors and typed function
 * references.
 *
 * @param bytes the file. The module keeps them; do not change them.
 * @throws TypeError if `bytes` is not a Uint8Array.
 * @throws ModuleError with the offset, if the file is damaged or has garbage-collected types.
 * @example
 * const module = readModule(bytes);
 * console.log(module.exports.map((each) => each.name));
 */
export function readModule(bytes: Uint8Array): Module {
  if (!(bytes instanceof Uint8Array)) throw new TypeError("bytes must be a Uint8Array");
  const reader = new ModuleReader(bytes);
  reader.readAll();
  return reader;
}

function headerCheck(reader: ByteReader): void {
  reader.what = "header";
  const isMagic = MAGIC.every((byte, i) => (reader.bytes[i] ?? byte) === byte);
  if (!isMagic) throw damaged(0, "not a WebAssembly file: it does not begin with \\0asm");
  reader.skip(4);
  const has = (wanted: number[]) => {
    const found = reader.take(4);
    return wanted.every((byte, i) => found[i] === byte);
  };
  if (has(VERSION)) return;
  reader.at -= 4;
  if (has(COMPONENT)) throw unsupported(4, "a component; extract the module inside it");
  throw damaged(4, "not version 1 of the WebAssembly format");
}

class ModuleReader implements Module {
  readonly bytes: Uint8Array;
  readonly sections: Section[] = [];
  readonly types: FunctionType[] = [];
  readonly imports: Import[] = [];
  readonly functions: number[] = [];
  importedFunctions = 0;
  readonly memories: Memory[] = [];
  readonly globals: Global[] = [];
  readonly exports: Export[] = [];
  start: number | undefined;
  readonly referenced: number[] = [];
  readonly data: DataSegment[] = [];
  readonly bodies: Body[] = [];
  code: CodeFacts = { calls: [], flags: new Uint8Array() };
  #dataCount: number | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  readAll(): void {
    const reader = new ByteReader(this.bytes);
    headerCheck(reader);
    let rank = -1;
    while (!reader.done) {
      reader.what = "section";
      const at = reader.at;
      const id = reader.byte();
      const name = SECTION_NAMES[id];
      if (name === undefined) throw damaged(at, `no section has the id ${id}`);
      const part = reader.part(reader.u32(), `${name} section`);
      if (id !== SECTION.custom) {
        if (SECTION_ORDER.indexOf(id) <= rank) {
          throw damaged(at, `${name} section appears twice or too late`);
        }
        rank = SECTION_ORDER.indexOf(id);
      }
      this.#section(id, part);
    }
    this.#countsCheck();
    const { bytes, bodies, importedFunctions, functions } = this;
    this.code = codeScan(bytes, bodies, importedFunctions, functions.length);
  }

  #section(id: number, reader: ByteReader): void {
    const name = id === SECTION.custom ? reader.name() : "";
    this.sections.push({ id, name, start: reader.at, end: reader.end });
    if (id === SECTION.custom) return;
    if (id === SECTION.start) this.start = this.#functionIndex(reader);
    else if (id === SECTION.dataCount) this.#dataCount = reader.u32();
    else this.#vector(id, reader);
    if (!reader.done) throw damaged(reader.at, `${reader.what} has bytes left over`);
  }

  #vector(id: number, reader: ByteReader): void {
    const one = this.#entries[id] as (reader: ByteReader) => void;
    for (let count = reader.u32(); count > 0; count--) one(reader);
  }

  readonly #entries: { readonly [id: number]: (reader: ByteReader) => void } = {
    [SECTION.type]: (reader) => this.types.push(typeRead(reader)),
    [SECTION.import]: (reader) => this.#import(reader),
    [SECTION.function]: (reader) => this.functions.push(this.#typeIndex(reader)),
    [SECTION.table]: (reader) => this.#table(reader),
    [SECTION.memory]: (reader) =>
      this.memories.push({ limits: limitsRead(reader), imported: false }),
    [SECTION.tag]: (reader) => tagRead(reader),
    [SECTION.global]: (reader) => this.#global(reader),
    [SECTION.export]: (reader) => this.#export(reader),
    [SECTION.element]: (reader) => this.#element(reader),
    [SECTION.code]: (reader) => this.#body(reader),
    [SECTION.data]: (reader) => this.#segment(reader),
  };

  #typeIndex(reader: ByteReader): number {
    const at = reader.at;
    const index = reader.u32();
    if (index < this.types.length) return index;
    throw damaged(at, `${reader.what}: there is no type ${index}`);
  }

  #functionIndex(reader: ByteReader): number {
    const at = reader.at;
    const index = reader.u32();
    if (index < this.functions.length) return index;
    throw damaged(at, `${reader.what}: there is no function ${index}`);
  }

  #import(reader: ByteReader): void {
    const module = reader.name();
    const name = reader.name();
    const at = reader.at;
    const kind = reader.byte();
    let type = 0;
    if (kind === KIND.function) {
      type = this.#typeIndex(reader);
      this.functions.push(type);
      this.importedFunctions++;
    } else if (kind === KIND.table) tableTypeRead(reader);
    else if (kind === KIND.memory) {
      this.memories.push({ limits: limitsRead(reader), imported: true });
    } else if (kind === KIND.global) {
      this.globals.push({ ...globalTypeRead(reader), imported: true, init: undefined });
    } else if (kind === KIND.tag) tagRead(reader);
    else throw damaged(at, `${reader.what}: no import has the kind ${kind}`);
    this.imports.push({ module, name, kind, type });
  }

  /** A table with an initial value begins with 0x40 0x00. */
  #table(reader: ByteReader): void {
    const hasInit = reader.bytes[reader.at] === 0x40;
    if (hasInit) reader.skip(2);
    tableTypeRead(reader);
    if (hasInit) this.#expression(reader);
  }

  #global(reader: ByteReader): void {
    const type = globalTypeRead(reader);
    this.globals.push({ ...type, imported: false, init: this.#expression(reader) });
  }

  #expression(reader: ByteReader) {
    return constantExpression(reader, (code) => {
      if (code.op === op.refFunc) this.#reference(code.index, code.start);
    });
  }

  #reference(index: number, at: number): void {
    if (index >= this.functions.length) throw damaged(at, `there is no function ${index}`);
    this.referenced.push(index);
  }

  #export(reader: ByteReader): void {
    const name = reader.name();
    const at = reader.at;
    const kind = reader.byte();
    if (kind > KIND.tag) throw damaged(at, `export section: no export has the kind ${kind}`);
    const index = kind === KIND.function ? this.#functionIndex(reader) : reader.u32();
    this.exports.push({ name, kind, index });
  }

  #element(reader: ByteReader): void {
    const at = reader.at;
    const flags = reader.u32();
    if (flags > 7) throw damaged(at, `element section: no segment has the kind ${flags}`);
    const active = (flags & 1) === 0;
    if (active && flags & 2) reader.u32();
    if (active) this.#expression(reader);
    if (flags & 3) flags & 4 ? readValueType(reader) : reader.byte();
    for (let count = reader.u32(); count > 0; count--) {
      if (flags & 4) this.#expression(reader);
      else this.#reference(reader.u32(), reader.at);
    }
  }

  #body(reader: ByteReader): void {
    const index = this.importedFunctions + this.bodies.length;
    const size = reader.u32();
    const start = reader.at;
    const end = start + size;
    if (end > reader.end) reader.part(size, `function ${index}`);
    let locals = 0;
    const groups = reader.u32();
    const declarations = reader.at;
    for (let i = 0; i < groups; i++) {
      locals += reader.u32();
      readValueType(reader);
    }
    if (locals >= 2 ** 32) throw damaged(start, `function ${index} has too many locals`);
    if (reader.at > end) throw damaged(end, `function ${index} ends too early`);
    this.bodies.push({ start, declarations, code: reader.at, end, locals, groups });
    reader.at = end;
  }

  #segment(reader: ByteReader): void {
    const at = reader.at;
    const flags = reader.u32();
    if (flags > 2) throw damaged(at, `data section: no segment has the kind ${flags}`);
    if (flags === 2) reader.u32();
    const address = flags === 1 ? undefined : constantExpression(reader).value;
    const count = reader.u32();
    const start = reader.at;
    reader.skip(count);
    this.data.push({ address, passive: flags === 1, start, end: reader.at });
  }

  #countsCheck(): void {
    const end = this.bytes.length;
    const declared = this.functions.length - this.importedFunctions;
    if (declared !== this.bodies.length) {
      throw damaged(end, `${declared} functions are declared, ${this.bodies.length} have code`);
    }
    if (this.#dataCount !== undefined && this.#dataCount !== this.data.length) {
      throw damaged(
        end,
        `${this.#dataCount} data segments declared, ${this.data.length} are there`,
      );
    }
  }
}

function typeRead(reader: ByteReader): FunctionType {
  const at = reader.at;
  const form = reader.byte();
  if (form >= 0x4e && form <= 0x5f) throw unsupported(at, "garbage-collected types");
  if (form !== 0x60)
    throw damaged(at, `type section: 0x${form.toString(16)} does not begin a type`);
  const types = () => Array.from({ length: lengthRead(reader) }, () => readValueType(reader));
  return { params: types(), results: types() };
}

/** A length that the file is too short for is refused before an array is made. */
function lengthRead(reader: ByteReader): number {
  const at = reader.at;
  const length = reader.u32();
  if (length <= reader.end - reader.at) return length;
  throw damaged(at, `${reader.what} ends too early`);
}

function limitsRead(reader: ByteReader): Limits {
  const at = reader.at;
  const flags = reader.u32();
  if (flags > 7) throw unsupported(at, `${reader.what}: limits of kind ${flags}`);
  const is64 = (flags & 4) !== 0;
  const number = () => (is64 ? reader.u64() : reader.u32());
  return {
    min: number(),
    max: flags & 1 ? number() : undefined,
    shared: (flags & 2) !== 0,
    is64,
  };
}

function tableTypeRead(reader: ByteReader): void {
  readValueType(reader);
  limitsRead(reader);
}

function globalTypeRead(reader: ByteReader): { type: number; mutable: boolean } {
  const type = readValueType(reader);
  const at = reader.at;
  const mutable = reader.byte();
  if (mutable > 1) throw damaged(at, `${reader.what}: mutability ${mutable}`);
  return { type, mutable: mutable === 1 };
}

function tagRead(reader: ByteReader): void {
  reader.byte();
  reader.u32();
}

/** A reader of the instructions of a function: call `next` until `done`. */
export function bodyReader(module: Module, index: number): CodeReader {
  const body = module.bodies[index - module.importedFunctions] as Body;
  return new CodeReader(module.bytes, body.code, body.end, `function ${index}`);
}

/** Whether the code of a function has an instruction. */
export function hasInstruction(module: Module, index: number, code: number): boolean {
  const reader = bodyReader(module, index);
  while (!reader.done) {
    reader.next();
    if (reader.op === code) return true;
  }
  return false;
}

const EMPTY_BLOCK = 0x40;
const NO_VALUES: FunctionType = { params: [], results: [] };

/** The type of the block that an instruction opens, behind whose opcode it is. */
export function blockType({ bytes, types }: Module, at: CodeReader): FunctionType {
  const first = bytes[at.start + 1] as number;
  if (first === EMPTY_BLOCK) return NO_VALUES;
  if (first > EMPTY_BLOCK && first < 0x80) return { params: [], results: [first] };
  return types[new ByteReader(bytes, at.start + 1, at.end).signed(33)] ?? NO_VALUES;
}
