/** What a scratch instance imports: functions that do nothing, and empty tables and globals. */
import { PAGE_BYTES } from "../../common/constants.ts";
import { ByteReader } from "../module/bytes.ts";
import { type FunctionType, KIND, type Module, SECTION, sectionFind } from "../module/module.ts";
import { F32, F64, FUNCREF, I32, I64 } from "../module/value-types.ts";
import type { ScratchModule } from "./rewrite.ts";

const EXTERNREF = 0x6f;

/** Where modules that are linked when they are loaded are told to put their data. */
export const MEMORY_BASE = 1024;
/** The name of the global that tells them. */
export const MEMORY_BASE_NAME: RegExp = /memory_base/i;
/** Bytes for the stack of a module that imports its stack pointer, and for data without values. */
const STACK_BYTES = 4 << 20;
const COPY = /mem(?:cpy|move)/i;
const FILL = /memset/i;
/** What minifiers make of names; a copy is what allocators call with three numbers. */
const MINIFIED = /^\w{1,2}$/;

/** What functions that are imported get for their calls. */
export interface StandInHost {
  /** Called for each call, so that a loop around an import ends. */
  called(): void;
  /**
   * Grows the memory to a size in bytes.
   *
   * @returns whether it could; false also if it has that size.
   */
  grown(bytes: number): boolean;
  /** Copies within the memory. */
  copied(to: number, from: number, length: number): void;
  /** Fills a part of the memory. */
  filled(address: number, byte: number, length: number): void;
}

/** The imports of a scratch instance, and what of them has to be taken back after a test. */
export interface StandIns {
  readonly imports: WebAssembly.Imports;
  readonly globals: readonly WebAssembly.Global[];
  /** The memory, if it is imported. */
  readonly memory: WebAssembly.Memory | undefined;
}

/** Makes something for each import of a module. */
export function standInsCreate(scratch: ScratchModule, host: StandInHost): StandIns {
  return new StandInMaker(scratch, host).make();
}

class StandInMaker {
  readonly #scratch: ScratchModule;
  readonly #module: Module;
  readonly #host: StandInHost;
  readonly #globals: WebAssembly.Global[] = [];
  #memory: WebAssembly.Memory | undefined;

  constructor(scratch: ScratchModule, host: StandInHost) {
    this.#scratch = scratch;
    this.#module = scratch.module;
    this.#host = host;
  }

  make(): StandIns {
    const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
    const section = sectionFind(this.#module, SECTION.import);
    if (section) {
      const reader = new ByteReader(this.#module.bytes, section.start, section.end, "imports");
      for (let count = reader.u32(); count > 0; count--) {
        const [from, name] = [reader.name(), reader.name()];
        const names = imports[from] ?? {};
        imports[from] = names;
        names[name] = this.#one(reader, name);
      }
    }
    return { imports, globals: this.#globals, memory: this.#memory };
  }

  #one(reader: ByteReader, name: string): WebAssembly.ImportValue {
    const kind = reader.byte();
    if (kind === KIND.function) {
      return this.#function(this.#module.types[reader.u32()] as FunctionType, name);
    }
    if (kind === KIND.table) return tableCreate(reader);
    if (kind === KIND.memory) return this.#memoryCreate(reader);
    if (kind === KIND.global) return this.#global(reader.byte(), reader.byte() === 1, name);
    reader.skip(1);
    return tagCreate(this.#module.types[reader.u32()] as FunctionType);
  }

  /** A function that takes a size and returns a success may be the host's way to grow a memory. */
  #function({ params, results }: FunctionType, name: string): WebAssembly.ImportValue {
    const host = this.#host;
    const result = resultOf(results);
    if (`${params}` === `${[I32, I32, I32]}`) return this.#range(name, results.length > 0);
    if (`${params}>${results}` !== `${I32}>${I32}`) {
      return () => {
        host.called();
        return result;
      };
    }
    return (bytes: number) => {
      host.called();
      return host.grown(bytes >>> 0) ? 1 : 0;
    };
  }

  /** memcpy and memset may be the host's: of those that are called with an address and a length. */
  #range(name: string, returns: boolean): WebAssembly.ImportValue {
    const host = this.#host;
    const isCopy = COPY.test(name) || (!returns && MINIFIED.test(name));
    const isFill = FILL.test(name);
    return (to: number, middle: number, length: number) => {
      host.called();
      if (isCopy) host.copied(to >>> 0, middle >>> 0, length >>> 0);
      else if (isFill) host.filled(to >>> 0, middle & 0xff, length >>> 0);
      return returns && (isCopy || isFill) ? to : 0;
    };
  }

  #memoryCreate(reader: ByteReader): WebAssembly.Memory {
    limitsRead(reader);
    const { allPages, module } = this.#scratch;
    const shared = module.memories[0]?.limits.shared === true;
    this.#memory = new WebAssembly.Memory({ initial: allPages, maximum: allPages, shared });
    return this.#memory;
  }

  #global(type: number, mutable: boolean, name: string): WebAssembly.Global {
    const global = new WebAssembly.Global(
      { value: nameOf(type), mutable },
      type === I32 ? this.#address(name) : defaultOf(type),
    );
    if (mutable) this.#globals.push(global);
    return global;
  }

  /** Data first, then the stack, then the heap. */
  #address(name: string): number {
    if (MEMORY_BASE_NAME.test(name)) return MEMORY_BASE;
    if (!/stack_pointer|heap_base/i.test(name)) return 0;
    const bytes = this.#scratch.firstPages * PAGE_BYTES;
    return Math.min(bytes, this.#dataEnd() + STACK_BYTES);
  }

  #dataEnd(): number {
    const ends = this.#module.data.map(
      ({ address, start, end }) => (address ?? MEMORY_BASE + PAGE_BYTES) + end - start,
    );
    const end = Math.max(MEMORY_BASE, ...ends);
    return Math.ceil(end / PAGE_BYTES) * PAGE_BYTES;
  }
}

function tableCreate(reader: ByteReader): WebAssembly.Table {
  const element = reader.byte() === EXTERNREF ? "externref" : "anyfunc";
  const { min, max } = limitsRead(reader);
  return new WebAssembly.Table({
    element,
    initial: min,
    ...(max === undefined ? {} : { maximum: max }),
  });
}

function limitsRead(reader: ByteReader): { min: number; max: number | undefined } {
  const flags = reader.u32();
  const min = reader.u64();
  return { min, max: flags & 1 ? reader.u64() : undefined };
}

/** The constructor of tags, which the types of TypeScript 5 do not have. */
type TagConstructor = new (type: { parameters: string[] }) => WebAssembly.ImportValue;

function tagCreate({ params }: FunctionType): WebAssembly.ImportValue {
  const { Tag } = WebAssembly as unknown as { Tag: TagConstructor };
  return new Tag({ parameters: params.map(nameOf) });
}

const NAMES: ReadonlyMap<number, WebAssembly.ValueType> = new Map([
  [I32, "i32"],
  [I64, "i64"],
  [F32, "f32"],
  [F64, "f64"],
  [EXTERNREF, "externref"],
  [FUNCREF, "anyfunc"],
]);

function nameOf(type: number): WebAssembly.ValueType {
  return NAMES.get(type) ?? "v128";
}

function defaultOf(type: number): number | bigint | null {
  if (type === I64) return 0n;
  return type === FUNCREF || type === EXTERNREF ? null : 0;
}

/** What a function returns that does nothing. */
function resultOf(results: readonly number[]): unknown {
  if (results.length === 0) return undefined;
  const values = results.map(defaultOf);
  return values.length === 1 ? values[0] : values;
}
