/**
 * The nouns: what a module consists of, as the reader finds it. Offsets count from the file's
 * start.
 */
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

/** Sections in the order in which a file must have them; the index is the rank. */
export const SECTION_ORDER: readonly number[] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

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

/** The contents of a section: bytes `start` to `end`, without id and length. */
export interface Section {
  readonly id: number;
  /** Of a custom section. */
  readonly name: string;
  /** Of a custom section: behind its name. */
  readonly start: number;
  readonly end: number;
}

export interface FunctionType {
  readonly params: readonly number[];
  readonly results: readonly number[];
}

/** Sizes in pages of 64 KiB (memory) or entries (table). */
export interface Limits {
  readonly min: number;
  readonly max: number | undefined;
  readonly shared: boolean;
  readonly is64: boolean;
}

export interface Import {
  readonly module: string;
  readonly name: string;
  readonly kind: number;
  /** Of a function: the index of its type. */
  readonly type: number;
}

export interface Global {
  readonly type: number;
  readonly mutable: boolean;
  readonly imported: boolean;
  /** Where the initial value comes from, unless it is imported. */
  readonly init: ConstantExpression | undefined;
}

export interface Memory {
  readonly limits: Limits;
  readonly imported: boolean;
}

export interface Export {
  readonly name: string;
  readonly kind: number;
  readonly index: number;
}

export interface DataSegment {
  /** Where it is put, unless it is passive or the place is no constant. */
  readonly address: number | undefined;
  readonly passive: boolean;
  /** Its bytes in the file. */
  readonly start: number;
  readonly end: number;
}

/** The code of a function. */
export interface Body {
  /** First byte behind the length: how many groups of locals there are. */
  readonly start: number;
  /** The first group of locals. */
  readonly declarations: number;
  /** The first instruction. */
  readonly code: number;
  readonly end: number;
  /** How many locals are declared, parameters not counted. */
  readonly locals: number;
  /** How many groups declare them. */
  readonly groups: number;
}

/** What the code of each function does; entries are of the functions that are not imported. */
export interface CodeFacts {
  /** The functions that each calls, in the order of its calls, repeated as often. */
  readonly calls: readonly (readonly number[])[];
  readonly flags: Uint8Array;
}

/** A module, read. Functions, memories and globals are in the order of their index spaces. */
export interface Module {
  readonly bytes: Uint8Array;
  readonly sections: readonly Section[];
  readonly types: readonly FunctionType[];
  readonly imports: readonly Import[];
  /** Type index of every function, imported ones first. */
  readonly functions: readonly number[];
  readonly importedFunctions: number;
  readonly memories: readonly Memory[];
  readonly globals: readonly Global[];
  readonly exports: readonly Export[];
  readonly start: number | undefined;
  /** Functions that stand in an element segment or in a constant expression. */
  readonly referenced: readonly number[];
  readonly data: readonly DataSegment[];
  /** Bodies of the functions that are not imported. */
  readonly bodies: readonly Body[];
  /** What one pass over the code has found. */
  readonly code: CodeFacts;
}

/** The first section of this id (and name, if it is a custom one). */
export function sectionFind(module: Module, id: number, name = ""): Section | undefined {
  return module.sections.find((each) => each.id === id && each.name === name);
}

/** The type of a function by its index. */
export function functionType(module: Module, index: number): FunctionType {
  return module.types[module.functions[index] as number] as FunctionType;
}
