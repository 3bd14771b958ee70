/**
 * Writes the code section: original bodies, with their indices moved and a hook's code added, and
 * new ones.
 */
import { ByteWriter } from "./bytes.ts";
import type { CodeReader } from "./code.ts";
import { type Body, functionType, type Module, SECTION, sectionFind } from "./module.ts";
import type { OffsetMap } from "./offsets.ts";
import { op } from "./opcodes.ts";
import { bodyReader } from "./reader.ts";
import { CodeWriter } from "./writer.ts";

/** Adds to or replaces the code of original functions while it is copied. */
export interface CodeHook {
  /** 256 entries, by the first byte of an opcode: 1 calls `instruction` for it. */
  readonly wanted: Uint8Array;
  /**
   * Called before the first instruction of a function; may write code, which comes first.
   *
   * @param old the original's index of the function.
   * @returns false to copy the function's code without calling the hook.
   */
  begin(code: CodeWriter, old: number): boolean;
  /**
   * Called before each instruction that is wanted; may write code.
   *
   * @returns true if the instruction is replaced by what was written; false if it is to follow.
   */
  instruction(code: CodeWriter, at: CodeReader): boolean;
  /** Called after each instruction, wanted or not. */
  follow?(at: CodeReader): void;
}

/** The code of an appended function: written new, or the original code of another one. */
export type FunctionSource =
  | { readonly emit: (code: CodeWriter) => void; readonly params: number }
  | { readonly original: number };

interface CodeSetting {
  readonly module: Module;
  readonly functionIndex: (old: number) => number;
  readonly replaced: ReadonlyMap<number, (code: CodeWriter) => void>;
  readonly added: readonly FunctionSource[];
  readonly hook: CodeHook | undefined;
  readonly offsets: OffsetMap;
  /** Gets the original's indices of functions that engines refuse, since they are too large. */
  readonly tooLarge: number[];
}

/** The most bytes of a function, with its locals, that engines compile. */
const FUNCTION_BYTES_MOST = 7_654_321;

/** The contents of the code section; offsets of the map count from its first byte. */
export function codeSectionWrite(setting: CodeSetting): ByteWriter {
  return new CodeSection(setting).write();
}

const nothingWanted = new Uint8Array(256);

class CodeSection {
  readonly #setting: CodeSetting;
  readonly #out: ByteWriter;
  readonly #code = new CodeWriter(1 << 16);
  /** First bytes of opcodes at which the copying of a run of code stops. */
  readonly #stops = new Uint8Array(256);
  readonly #indicesMove: boolean;
  #wanted = nothingWanted;

  constructor(setting: CodeSetting) {
    this.#setting = setting;
    const section = sectionFind(setting.module, SECTION.code);
    this.#out = new ByteWriter(section ? (section.end - section.start) * 2 + 1024 : 1024);
    const first = setting.module.importedFunctions;
    this.#indicesMove = setting.functionIndex(first) !== first;
  }

  write(): ByteWriter {
    const { module, added, offsets } = this.#setting;
    this.#out.u32(module.bodies.length + added.length);
    module.bodies.forEach((body, i) => {
      this.#original(body, module.importedFunctions + i);
    });
    // Code without an original must not be taken for the end of the last original function.
    offsets.add(module.bytes.length, this.#out.length);
    for (const source of added) this.#added(source);
    return this.#out;
  }

  #original(body: Body, index: number): void {
    const { module, replaced } = this.#setting;
    const first = this.#setting.offsets.count;
    const emit = replaced.get(index);
    const { params } = functionType(module, index);
    this.#code.reset(params.length + (emit ? 0 : body.locals));
    if (emit) {
      emit(this.#code);
      this.#code.end();
      this.#setting.offsets.replacement(body.start, body.start, 0, this.#code.length);
      this.#finish(undefined, first);
    } else {
      this.#rewrite(index, true);
      const from = this.#out.length;
      this.#finish(body, first);
      const isOver = this.#out.length - from > FUNCTION_BYTES_MOST;
      if (isOver) this.#setting.tooLarge.push(index);
    }
  }

  #added(source: FunctionSource): void {
    const { module } = this.#setting;
    if ("original" in source) {
      const body = module.bodies[source.original - module.importedFunctions] as Body;
      const { params } = functionType(module, source.original);
      this.#code.reset(params.length + body.locals);
      this.#rewrite(source.original, false);
      this.#finish(body, this.#setting.offsets.count);
    } else {
      this.#code.reset(source.params);
      source.emit(this.#code);
      this.#code.end();
      this.#finish(undefined, this.#setting.offsets.count);
    }
  }

  /** Writes the function: declarations of its locals, and the code that has been written. */
  #finish(body: Body | undefined, firstPair: number): void {
    const { bytes } = this.#setting.module;
    const extra = this.#code.extraLocals;
    const locals = new ByteWriter(64);
    locals.u32((body?.groups ?? 0) + extra.length);
    if (body) locals.copy(bytes, body.declarations, body.code);
    for (const type of extra) {
      locals.u32(1);
      locals.byte(type);
    }
    this.#out.u32(locals.length + this.#code.length);
    this.#out.append(locals.written);
    this.#setting.offsets.shift(firstPair, this.#out.length);
    this.#out.copy(this.#code.bytes, 0, this.#code.length);
  }

  #rewrite(index: number, mapped: boolean): void {
    const { hook, module, offsets } = this.#setting;
    const reader = bodyReader(module, index);
    const code = this.#code;
    if (mapped) offsets.add(reader.at, 0);
    this.#stopsSet(hook?.begin(code, index) ? hook.wanted : nothingWanted);
    const follower = this.#wanted === nothingWanted ? undefined : hook;
    let run = reader.at;
    if (mapped && code.length > 0) offsets.replacement(run, run, 0, code.length);
    while (!reader.done) {
      reader.next();
      if (this.#stops[module.bytes[reader.start] as number] === 0) {
        follower?.follow?.(reader);
        continue;
      }
      code.copy(module.bytes, run, reader.start);
      const before = code.length;
      this.#stopped(reader);
      follower?.follow?.(reader);
      run = reader.at;
      if (mapped && code.length - before !== run - reader.start) {
        offsets.replacement(reader.start, run, before, code.length);
      }
    }
    code.copy(module.bytes, run, reader.at);
  }

  #stopsSet(wanted: Uint8Array<ArrayBuffer> | Uint8Array): void {
    this.#wanted = wanted as Uint8Array<ArrayBuffer>;
    this.#stops.set(wanted);
    if (!this.#indicesMove) return;
    for (const code of [op.call, op.returnCall, op.refFunc]) this.#stops[code] = 1;
  }

  #stopped(reader: CodeReader): void {
    const { hook, module, functionIndex } = this.#setting;
    const code = this.#code;
    const first = module.bytes[reader.start] as number;
    if (hook && this.#wanted[first] === 1 && hook.instruction(code, reader)) return;
    if (first === op.call || first === op.returnCall || first === op.refFunc) {
      code.with(first, functionIndex(reader.index));
    } else code.copy(module.bytes, reader.start, reader.at);
  }
}
