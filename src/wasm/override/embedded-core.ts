/**
 * Copies functions of core.wasm into another module: those that are needed, with the types, globals
 * and indices of that module.
 */
import { ByteReader } from "../module/bytes.ts";
import type { ModuleEditor } from "../module/editor.ts";
import { nameByType } from "../module/locals.ts";
import { type Body, functionType, KIND, type Module } from "../module/module.ts";
import { depthChange, op } from "../module/opcodes.ts";
import { bodyReader } from "../module/reader.ts";
import { I32, readValueType } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";

/** Imports of the core that a merged module replaces or leaves out. */
const KNOWN: readonly string[] = ["grow", "error", "pages"];
const inlinedName = nameByType("local of an inlined function");

interface Setting {
  readonly editor: ModuleEditor;
  readonly core: Module;
  /** Writes the function that grows the memory: the core's env.grow. */
  readonly grow: (code: CodeWriter) => void;
  /** Writes code for the case that there is no memory. */
  readonly failed?: ((code: CodeWriter) => void) | undefined;
}

/**
 * The core inside the module that the editor writes. A function is copied when it is first needed,
 * with all functions that it calls.
 */
export class EmbeddedCore {
  readonly #editor: ModuleEditor;
  readonly #core: Module;
  readonly #failed: ((code: CodeWriter) => void) | undefined;
  readonly #globals: readonly number[];
  readonly #indices = new Map<number, number>();
  /** The index of the function that grows the memory. */
  readonly grow: number;
  /** Global: the end of the memory that the heap may use when it begins, in slices; 0 before. */
  readonly top: number;

  /** @throws Error if the core has parts that cannot be copied: a mistake of this package. */
  constructor({ editor, core, grow, failed }: Setting) {
    coreCheck(core);
    this.#failed = failed;
    this.#editor = editor;
    this.#core = core;
    this.#globals = core.globals.map(({ type, mutable, init }) =>
      editor.addGlobal(type, mutable, init?.value ?? 0),
    );
    this.top = editor.addGlobal(I32, true, 0);
    this.grow = editor.addFunction("terrane.grow", [I32], [I32], grow);
  }

  /** The index of a function that the core exports, in the new module. */
  index(name: string): number {
    return this.#function(this.#exported(name));
  }

  #exported(name: string): number {
    const found = this.#core.exports.find(
      (each) => each.kind === KIND.function && each.name === name,
    );
    if (!found) throw new Error(`the core has no function ${name}`);
    return found.index;
  }

  /** Makes a function of the module stand for the core's function, which is `inline`d there. */
  hostSet(name: string, index: number): void {
    this.#indices.set(this.#exported(name), index);
  }

  #function(index: number): number {
    const known = this.#indices.get(index);
    if (known !== undefined) return known;
    const { params, results } = functionType(this.#core, index);
    const made = this.#editor.addFunction(
      `terrane.${this.#name(index)}`,
      [...params],
      [...results],
      (code) => {
        this.#copy(code, index, [...params.keys()], 0);
      },
    );
    this.#indices.set(index, made);
    this.#calleesAdd(index);
    return made;
  }

  #name(index: number): string {
    const isIt = (each: { kind: number; index: number }) =>
      each.kind === KIND.function && each.index === index;
    return this.#core.exports.find(isIt)?.name ?? String(index);
  }

  /** Adds the functions that a function calls: later, when bodies are written, is too late. */
  #calleesAdd(index: number): void {
    const { code, importedFunctions } = this.#core;
    for (const callee of code.calls[index - importedFunctions] ?? []) {
      if (callee >= importedFunctions) this.#function(callee);
    }
  }

  /** Adds the functions that `inline` will call for this function. */
  inlinePrepare(name: string): void {
    this.#calleesAdd(this.#exported(name));
  }

  /**
   * Writes the body of a core's function as the end of another function. The locals are its
   * parameters; `depth` blocks are open.
   */
  inline(code: CodeWriter, name: string, locals: readonly number[], depth: number): void {
    this.#copy(code, this.#exported(name), locals, depth);
  }

  #copy(code: CodeWriter, index: number, params: readonly number[], depth: number): void {
    const map = [...params, ...localsAdd(code, this.#core, index)];
    const reader = bodyReader(this.#core, index);
    let open = 0;
    for (reader.next(); !reader.done; reader.next()) {
      open += depthChange[reader.op] ?? 0;
      const { op: at, index: first } = reader;
      if (isLocal(at)) code.with(at, map[first] as number);
      else if (at === op.call) this.#call(code, first);
      else if (at === op.globalGet || at === op.globalSet) {
        code.with(at, this.#globals[first] as number);
      } else if (at === op.memorySize) code.with(op.globalGet, this.top);
      else if ((at === op.br || at === op.brIf) && first === open) code.with(at, first + depth);
      else code.copy(reader.bytes, reader.start, reader.at);
    }
  }

  #call(code: CodeWriter, index: number): void {
    const { importedFunctions, imports } = this.#core;
    if (index >= importedFunctions) {
      code.call(this.#function(index));
      return;
    }
    const functions = imports.filter((each) => each.kind === KIND.function);
    const name = functions[index]?.name;
    if (name === "grow") {
      code.call(this.grow);
      return;
    }
    const { params, results } = functionType(this.#core, index);
    for (const _ of params) code.op(op.drop);
    for (const _ of results) code.const(0);
    if (name === "error") this.#failed?.(code);
  }
}

function isLocal(code: number): boolean {
  return code === op.localGet || code === op.localSet || code === op.localTee;
}

/** Adds locals for those that a core's function declares. */
function localsAdd(code: CodeWriter, core: Module, index: number): number[] {
  const body = core.bodies[index - core.importedFunctions] as Body;
  const reader = new ByteReader(core.bytes, body.declarations, body.code, "locals");
  const locals: number[] = [];
  while (!reader.done) {
    const count = reader.u32();
    const type = readValueType(reader);
    for (let i = 0; i < count; i++) locals.push(code.local(inlinedName(type), type, locals.length));
  }
  return locals;
}

/** Checks what copying relies on. */
function coreCheck(core: Module): void {
  const unknown = core.imports.find(
    ({ kind, name }) => kind !== KIND.memory && (kind !== KIND.function || !KNOWN.includes(name)),
  );
  if (unknown) throw new Error(`the core imports ${unknown.name}, which merging does not replace`);
  const hasParts = core.data.length > 0 || core.referenced.length > 0 || core.start !== undefined;
  if (hasParts) throw new Error("the core has data, tables or a start function");
}
