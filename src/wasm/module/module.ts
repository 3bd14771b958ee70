/** What a module consists of, as the reader finds it. Offsets count from the start of the file. */
import type { ConstantExpression } from "./code.ts";

export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
  tag: 13,
} as const;

/** Ids of sections in the order in which a file must have them. */
export const SECTION_ORDER: readonly number[] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/** For each function those that call it, each once. */
export function callersOf(module: Module): number[][] {
  const callers = module.functions.map((): number[] => []);
  module.code.calls.forEach((callees, i) => {
    for (const callee of new Set(callees)) {
      (callers[callee] as number[]).push(module.importedFunctions + i);
    }
  });
  return callers;
}

/** Names of sections, by their ids. */
export const SECTION_NAMES: readonly string[] = [
  "custom",
  "type",
  "import",
  "function",
  "table",
  "memory",
  "global",
  "export",
  "start",
  "element",
  "code",
  "data",
  "data count",
  "tag",
];

/** What imports and exports can be, by their number in the format. */
export const KIND = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const;

/** A section: the bytes `start` to `end` are its contents, without id and length. */
export interface Section {
  /** Its number in the format; 0 for custom sections. */
  readonly id: number;
  /** The name of a custom section; empty for others. */
  readonly name: string;
  /** Offset of its first byte; of a custom section, of the first byte behind its name. */
  readonly start: number;
  /** Offset behind its last byte. */
  readonly end: number;
}

/** A type of functions. Types of values are bytes as in the format: 0x7f is i32. */
export interface FunctionType {
  /** Types of the parameters. */
  readonly params: readonly number[];
  /** Types of the results. */
  readonly results: readonly number[];
}

/** Limits of a memory, in pages of 64 KiB, or of a table, in entries. */
export interface Limits {
  /** The size at the start. */
  readonly min: number;
  /** The largest size; undefined if there is no limit. */
  readonly max: number | undefined;
  /** Whether threads can share it. */
  readonly shared: boolean;
  /** Whether addresses have 64 bits. */
  readonly is64: boolean;
}

/** Something that a module imports. */
export interface Import {
  /** Name of the module that it is imported from. */
  readonly module: string;
  /** Its name in that module. */
  readonly name: string;
  /** 0 for a function, 1 a table, 2 a memory, 3 a global, 4 a tag. */
  readonly kind: number;
  /** Of a function: the index of its type; 0 for others. */
  readonly type: number;
}

/** A global variable or constant. */
export interface Global {
  /** Type of its value, as in the format: 0x7f is i32. */
  readonly type: number;
  /** Whether it can change. */
  readonly mutable: boolean;
  /** Whether it is imported. */
  readonly imported: boolean;
  /** The expression of its initial value; undefined if it is imported. */
  readonly init: ConstantExpression | undefined;
}

/** A linear memory. */
export interface Memory {
  /** Its sizes in pages. */
  readonly limits: Limits;
  /** Whether it is imported. */
  readonly imported: boolean;
}

/** Something that a module exports. */
export interface Export {
  /** Its name. */
  readonly name: string;
  /** 0 for a function, 1 a table, 2 a memory, 3 a global, 4 a tag. */
  readonly kind: number;
  /** Its index among those of its kind, imported ones first. */
  readonly index: number;
}

/** Bytes that are copied to memory, at the start or by memory.init. */
export interface DataSegment {
  /** Where it is copied to; undefined if it is passive, or the address is not a constant. */
  readonly address: number | undefined;
  /** Whether memory.init copies it. */
  readonly passive: boolean;
  /** Offset of its first byte in the file. */
  readonly start: number;
  /** Offset behind its last byte. */
  readonly end: number;
}

/** The code of a function, by offsets in the file. */
export interface Body {
  /** The first byte behind the length: the number of groups of locals. */
  readonly start: number;
  /** The first group of locals. */
  readonly declarations: number;
  /** The first instruction. */
  readonly code: number;
  /** Behind the last instruction. */
  readonly end: number;
  /** How many locals are declared, without parameters. */
  readonly locals: number;
  /** How many groups declare them. */
  readonly groups: number;
}

/** What the code of each function does. Entries are of functions that are not imported. */
export interface CodeFacts {
  /**
   * For each function the functions that it calls, in the order of its calls, repeated as often.
   */
  readonly calls: readonly (readonly number[])[];
  /** For each function bits: calls indirectly, grows the memory, looks for strings' ends, … */
  readonly flags: Uint8Array;
}

/**
 * A module that has been read. Functions, memories and globals are in the order of their indices.
 */
export interface Module {
  /** The file. */
  readonly bytes: Uint8Array;
  /** All sections, in the order of the file. */
  readonly sections: readonly Section[];
  /** Types of functions. */
  readonly types: readonly FunctionType[];
  /** Everything that is imported, in the order of the file. */
  readonly imports: readonly Import[];
  /** The index of each function's type, imported functions first. */
  readonly functions: readonly number[];
  /** How many functions are imported. */
  readonly importedFunctions: number;
  /** All memories, imported ones first. */
  readonly memories: readonly Memory[];
  /** All globals, imported ones first. */
  readonly globals: readonly Global[];
  /** Everything that is exported, in the order of the file. */
  readonly exports: readonly Export[];
  /** The function that runs at the start; undefined if there is none. */
  readonly start: number | undefined;
  /** Functions in element segments and constant expressions; may repeat. */
  readonly referenced: readonly number[];
  /** Data segments, in the order of the file. */
  readonly data: readonly DataSegment[];
  /** Bodies of the functions that are not imported. */
  readonly bodies: readonly Body[];
  /** What the code of functions does. */
  readonly code: CodeFacts;
}

/** The first section with this id, and this name if it is a custom section. */
export function sectionFind(module: Module, id: number, name = ""): Section | undefined {
  return module.sections.find((each) => each.id === id && each.name === name);
}

/** The type of a function by its index. */
export function functionType(module: Module, index: number): FunctionType {
  return module.types[module.functions[index] as number] as FunctionType;
}
