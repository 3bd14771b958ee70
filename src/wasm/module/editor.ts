/**
 * Changes to a module, written in one pass: functions are replaced, everything else is appended.
 * Added imports move the indices of the original's functions; the editor adapts them.
 */
import { ByteReader, ByteWriter } from "./bytes.ts";
import { type CodeHook, codeSectionWrite, type FunctionSource } from "./codesection.ts";
import {
  type FunctionType,
  functionType,
  KIND,
  type Limits,
  type Module,
  SECTION,
  SECTION_ORDER,
  type Section,
} from "./module.ts";
import { functionNames, namesWrite } from "./names.ts";
import { OffsetMap } from "./offsets.ts";
import { op } from "./opcodes.ts";
import {
  exportWrite,
  importTypeSkip,
  limitsSkip,
  limitsWrite,
  listExtend,
  SectionCopier,
  typeWrite,
} from "./sections.ts";
import { I64 } from "./value-types.ts";
import type { CodeWriter } from "./writer.ts";

/** Custom sections that contain offsets of code, which change: they are left out. */
const STALE = /^(\.debug_|reloc\.|sourceMappingURL$|external_debug_info$|metadata\.code\.)/;

/** Writes the instructions of a function, without its final `end`. */
export type Emit = (code: CodeWriter) => void;

interface AddedGlobal {
  readonly type: number;
  readonly mutable: boolean;
  readonly value: number;
}

interface AddedExport {
  readonly name: string;
  readonly kind: number;
  readonly index: number;
}

interface AddedImport {
  readonly module: string;
  readonly name: string;
  readonly type: number;
}

/** The names under which a memory is imported. */
export interface MemoryImport {
  /** Name of the module that it is imported from. */
  readonly module: string;
  /** Its name in that module. */
  readonly name: string;
}

/** A module that an editor has written. */
export interface Rewritten {
  /** The file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Leads from offsets in this file to offsets in the original. */
  readonly offsets: OffsetMap;
  /** The original's indices of functions that have become too large for engines. */
  readonly tooLarge: readonly number[];
}

/**
 * Collects changes to a module, and writes the module with them. Import functions first, since
 * they move all other functions. Indices that methods return are those of the new module.
 *
 * Types of values are bytes as in the format: 0x7f is i32.
 *
 * @example
 * const editor = new ModuleEditor(readModule(bytes));
 * const log = editor.importFunction("env", "log", [I32], []);
 * editor.replaceFunction(7, (code) => code.get(0).call(log));
 * const { bytes, offsets } = editor.write();
 */
export class ModuleEditor {
  /** The original. */
  readonly module: Module;
  readonly #types: FunctionType[] = [];
  readonly #imports: AddedImport[] = [];
  readonly #functions: FunctionSource[] = [];
  readonly #functionTypes: number[] = [];
  readonly #replaced = new Map<number, Emit>();
  readonly #globals: AddedGlobal[] = [];
  readonly #exports: AddedExport[] = [];
  readonly #exportTargets = new Map<number, number>();
  readonly #data: { address: number; bytes: Uint8Array }[] = [];
  readonly #names = new Map<number, string>();
  #start: number | undefined;
  #memoryLimits: Limits | undefined;
  #memoryImport: MemoryImport | undefined;
  readonly #copier = new SectionCopier((old) => this.functionIndex(old));
  #importsClosed = false;

  /** @param module the original, which does not change. */
  constructor(module: Module) {
    this.module = module;
  }

  /**
   * Adds an imported function behind the imports that there are.
   *
   * @returns its index.
   * @throws RangeError after functions were added, replaced, or asked for with `functionIndex`.
   */
  importFunction(module: string, name: string, params: number[], results: number[]): number {
    if (this.#importsClosed) throw new RangeError("function imports must be added first");
    const index = this.module.importedFunctions + this.#imports.length;
    this.#imports.push({ module, name, type: this.#type({ params, results }) });
    this.#names.set(index, name);
    return index;
  }

  /** The index in the new module of a function of the original. */
  functionIndex(old: number): number {
    this.#importsClosed = true;
    return old < this.module.importedFunctions ? old : old + this.#imports.length;
  }

  /** The index in the original of a function of the new module; undefined if it was added. */
  originalFunction(index: number): number | undefined {
    const { importedFunctions, functions } = this.module;
    if (index < importedFunctions) return index;
    const old = index - this.#imports.length;
    return old >= importedFunctions && old < functions.length ? old : undefined;
  }

  /**
   * Adds a function; `name` goes to the name section.
   *
   * @returns its index.
   */
  addFunction(name: string, params: number[], results: number[], emit: Emit): number {
    return this.#functionAdd(name, this.#type({ params, results }), {
      emit,
      params: params.length,
    });
  }

  /**
   * Adds a function that has the type of a function of the original.
   *
   * @returns its index.
   */
  addFunctionLike(old: number, name: string, emit: Emit): number {
    const { params } = functionType(this.module, old);
    const type = this.module.functions[old] as number;
    return this.#functionAdd(name, type, { emit, params: params.length });
  }

  /**
   * Gives a function of the original another body. Its type stays; its first locals are its
   * parameters.
   *
   * @throws RangeError if the function is imported.
   */
  replaceFunction(old: number, emit: Emit): void {
    if (old < this.module.importedFunctions) throw new RangeError(`function ${old} is imported`);
    this.#importsClosed = true;
    this.#replaced.set(old, emit);
  }

  /**
   * Adds a function with the original body of `old`, for a replacement that calls it.
   *
   * @returns its index.
   */
  keepOriginal(old: number, name: string): number {
    const type = this.module.functions[old] as number;
    return this.#functionAdd(name, type, { original: old });
  }

  #functionAdd(name: string, type: number, source: FunctionSource): number {
    this.#importsClosed = true;
    const { functions } = this.module;
    const index = functions.length + this.#imports.length + this.#functions.length;
    this.#functions.push(source);
    this.#functionTypes.push(type);
    this.#names.set(index, name);
    return index;
  }

  /** Adds a global of type i32 or i64 with a value of 32 bits, and returns its index. */
  addGlobal(type: number, mutable: boolean, value: number): number {
    this.#globals.push({ type, mutable, value });
    return this.module.globals.length + this.#globals.length - 1;
  }

  /**
   * Adds an export.
   *
   * @param kind 0 for a function, 1 a table, 2 a memory, 3 a global, 4 a tag.
   * @param index in the new module.
   */
  addExport(name: string, kind: number, index: number): void {
    this.#exports.push({ name, kind, index });
  }

  /** Makes all exports of one function lead to another; both are indices in the new module. */
  redirectExports(from: number, to: number): void {
    this.#exportTargets.set(from, to);
  }

  /** Sets the function that runs at the start, by its index in the new module: () → nothing. */
  setStart(index: number): void {
    this.#start = index;
  }

  /** Adds bytes that are copied to `address` of memory 0 at the start. */
  addData(address: number, bytes: Uint8Array): void {
    this.#data.push({ address, bytes });
  }

  /** Gives memory 0 other limits; with `from`, the memory is imported instead of defined. */
  setMemory(limits: Limits, from?: MemoryImport): void {
    this.#memoryLimits = limits;
    this.#memoryImport = from;
  }

  #type(type: FunctionType): number {
    const all = [...this.module.types, ...this.#types];
    const same = all.findIndex((each) => typeText(each) === typeText(type));
    if (same >= 0) return same;
    this.#types.push(type);
    return all.length;
  }

  /**
   * Writes the new module.
   *
   * @param hook may change the code of functions that are not replaced.
   * @param moduleName the module's name in the name section, if there is that section.
   */
  write(hook?: CodeHook, moduleName?: string): Rewritten {
    this.#importsClosed = true;
    const offsets = new OffsetMap();
    const tooLarge: number[] = [];
    const code = codeSectionWrite({
      module: this.module,
      functionIndex: (old) => this.functionIndex(old),
      ...{ replaced: this.#replaced, added: this.#functions, hook, offsets, tooLarge },
    });
    const out = new ByteWriter(this.module.bytes.length + code.length);
    out.append(this.module.bytes.subarray(0, 8));
    const sections = this.#sectionsPlanned();
    for (const section of sections) this.#sectionWrite(out, section, code, offsets, moduleName);
    return { bytes: out.bytes.slice(0, out.length) as Uint8Array<ArrayBuffer>, offsets, tooLarge };
  }

  /** The original's sections, and in their order those that only the changes need. */
  #sectionsPlanned(): Section[] {
    const planned = this.module.sections.filter(
      ({ id, name }) => id !== SECTION.custom || !STALE.test(name),
    );
    for (const id of this.#sectionsNeeded()) {
      if (planned.some((each) => each.id === id)) continue;
      const rank = SECTION_ORDER.indexOf(id);
      const behind = planned.findIndex((each) => SECTION_ORDER.indexOf(each.id) > rank);
      const section = { id, name: "", start: 0, end: 0 };
      planned.splice(behind < 0 ? planned.length : behind, 0, section);
    }
    return planned;
  }

  #sectionsNeeded(): number[] {
    const needed: number[] = [];
    if (this.#types.length > 0) needed.push(SECTION.type);
    if (this.#imports.length > 0 || this.#memoryImport) needed.push(SECTION.import);
    if (this.#functions.length > 0) needed.push(SECTION.function, SECTION.code);
    if (this.#globals.length > 0) needed.push(SECTION.global);
    if (this.#exports.length > 0) needed.push(SECTION.export);
    if (this.#start !== undefined) needed.push(SECTION.start);
    if (this.#data.length > 0) needed.push(SECTION.data);
    return needed;
  }

  #sectionWrite(
    out: ByteWriter,
    section: Section,
    code: ByteWriter,
    offsets: OffsetMap,
    moduleName: string | undefined,
  ): void {
    if (section.id === SECTION.code) {
      out.byte(section.id);
      out.u32(code.length);
      offsets.shift(0, out.length);
      out.append(code.written);
      return;
    }
    const part = this.#sectionPart(section, moduleName);
    if (part === undefined) return;
    out.byte(section.id);
    out.sized(part);
  }

  #sectionPart(section: Section, moduleName: string | undefined): ByteWriter | undefined {
    const { id, start, end } = section;
    const { bytes } = this.module;
    if (id === SECTION.custom && section.name === "name") {
      return namesWrite(this.module, this.#namesAll(), moduleName);
    }
    const part = new ByteWriter(end - start + 64);
    if (id === SECTION.custom) part.name(section.name);
    const reader = new ByteReader(bytes, start, end);
    const write = this.#writers[id];
    if (!write) part.copy(bytes, start, end);
    else if (!write(part, reader)) return undefined;
    return part;
  }

  #namesAll(): Map<number, string> {
    const names = new Map<number, string>();
    for (const [old, name] of functionNames(this.module)) {
      if (old < this.module.functions.length) names.set(this.functionIndex(old), name);
    }
    for (const [index, name] of this.#names) names.set(index, name);
    return names;
  }

  /** Writers of the sections that change. The reader is empty where the original has none. */
  readonly #writers: {
    readonly [id: number]: (part: ByteWriter, reader: ByteReader) => boolean;
  } = {
    [SECTION.type]: (part, reader) =>
      listExtend(part, reader, this.#types, (type) => typeWrite(part, type)),
    [SECTION.import]: (part, reader) => this.#importsWrite(part, reader),
    [SECTION.function]: (part, reader) =>
      listExtend(part, reader, this.#functionTypes, (type) => part.u32(type)),
    [SECTION.memory]: (part, reader) => this.#memoriesWrite(part, reader),
    [SECTION.table]: (part, reader) => this.#copier.tables(part, reader),
    [SECTION.global]: (part, reader) => this.#globalsWrite(part, reader),
    [SECTION.export]: (part) => this.#exportsWrite(part),
    [SECTION.start]: (part, reader) => {
      part.u32(this.#start ?? this.functionIndex(reader.u32()));
      return true;
    },
    [SECTION.element]: (part, reader) => this.#copier.elements(part, reader),
    [SECTION.dataCount]: (part, reader) => {
      part.u32(reader.u32() + this.#data.length);
      return true;
    },
    [SECTION.data]: (part, reader) =>
      listExtend(part, reader, this.#data, ({ address, bytes }) => {
        part.byte(0);
        part.byte(op.i32Const);
        part.i32(address);
        part.byte(op.end);
        part.u32(bytes.length);
        part.append(bytes);
      }),
  };

  #importsWrite(part: ByteWriter, reader: ByteReader): boolean {
    const count = reader.done ? 0 : reader.u32();
    const imported = this.#memoryImport;
    part.u32(count + this.#imports.length + (imported ? 1 : 0));
    if (this.#memoryLimits && !imported) this.#importsCopy(part, reader, count);
    else part.copy(reader.bytes, reader.at, reader.end);
    for (const { module, name, type } of this.#imports) {
      part.name(module);
      part.name(name);
      part.byte(KIND.function);
      part.u32(type);
    }
    if (imported && this.#memoryLimits) {
      part.name(imported.module);
      part.name(imported.name);
      part.byte(KIND.memory);
      limitsWrite(part, this.#memoryLimits);
    }
    return true;
  }

  /** Copies imports one by one, since the limits of an imported memory among them change. */
  #importsCopy(part: ByteWriter, reader: ByteReader, count: number): void {
    for (let i = 0; i < count; i++) {
      const from = reader.at;
      reader.skip(reader.u32());
      reader.skip(reader.u32());
      const kind = reader.byte();
      const type = reader.at;
      importTypeSkip(reader, kind);
      if (kind !== KIND.memory || !this.#memoryLimits) part.copy(reader.bytes, from, reader.at);
      else {
        part.copy(reader.bytes, from, type);
        limitsWrite(part, this.#memoryLimits);
      }
    }
  }

  #memoriesWrite(part: ByteWriter, reader: ByteReader): boolean {
    const from = reader.at;
    const count = reader.u32();
    const own = this.#memoryLimits !== undefined && !this.module.memories[0]?.imported;
    if (!own) part.copy(reader.bytes, from, reader.end);
    else if (count > 1 || !this.#memoryImport) {
      part.u32(this.#memoryImport ? count - 1 : count);
      if (!this.#memoryImport) limitsWrite(part, this.#memoryLimits as Limits);
      limitsSkip(reader);
      part.copy(reader.bytes, reader.at, reader.end);
    } else return false;
    return true;
  }

  #globalsWrite(part: ByteWriter, reader: ByteReader): boolean {
    const count = reader.done ? 0 : reader.u32();
    part.u32(count + this.#globals.length);
    this.#copier.globals(part, reader, count);
    for (const { type, mutable, value } of this.#globals) {
      part.byte(type);
      part.byte(mutable ? 1 : 0);
      part.byte(type === I64 ? op.i64Const : op.i32Const);
      part.i32(value);
      part.byte(op.end);
    }
    return true;
  }

  #exportsWrite(part: ByteWriter): boolean {
    const { exports } = this.module;
    part.u32(exports.length + this.#exports.length);
    for (const { name, kind, index } of exports) {
      exportWrite(part, name, kind, kind === KIND.function ? this.#exportTarget(index) : index);
    }
    for (const { name, kind, index } of this.#exports) exportWrite(part, name, kind, index);
    return true;
  }

  #exportTarget(old: number): number {
    const index = this.functionIndex(old);
    return this.#exportTargets.get(index) ?? index;
  }
}

function typeText(type: FunctionType): string {
  return `${type.params}>${type.results}`;
}
