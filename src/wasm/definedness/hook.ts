/**
 * Finds uses of memory that was never written: the hook that follows the definedness of all values,
 * in addition to the checks of addresses; and the functions and globals that its code needs.
 */

import { CodeReader } from "../module/code.ts";
import type { CodeHook } from "../module/codesection.ts";
import type { ModuleEditor } from "../module/editor.ts";
import { type Body, functionType, type Module } from "../module/module.ts";
import { RULE } from "../module/opcode-row.ts";
import { op, opcodeOf } from "../module/opcodes.ts";
import { bodyReader } from "../module/reader.ts";
import { I32, I64, readValueType } from "../module/value-types.ts";
import { CodeWriter, i32s } from "../module/writer.ts";
import type { CheckHook } from "../shadow/access-checks.ts";
import { HOST_MODULE } from "../shadow/allocator-hooks.ts";
import { type Layout, NEVER_WRITTEN } from "../shadow/layout.ts";
import { stackPointerIndex } from "../shadow/program-areas.ts";
import { FullFlow, unfollowedStep } from "./accesses.ts";
import type { FunctionFacts } from "./locals.ts";
import { ARGUMENTS, type DefinedFunctions, type FlowSetting } from "./setting.ts";

/** Functions with more locals than this are not followed: their code would become too large. */
const LOCALS_MOST = 5000;
/** The most passes over a function to find which locals may have undefined bits. */
const ROUNDS = 6;

/** Imports that the code for definedness calls. */
interface DefinedImports {
  readonly report: number;
  readonly settle: number;
}

export function definedImport(editor: ModuleEditor): DefinedImports {
  return {
    report: editor.importFunction(HOST_MODULE, "undefined", [I32, I32], []),
    settle: editor.importFunction(HOST_MODULE, "settle", [I32, I32], [I32]),
  };
}

/** Adds the functions and globals for definedness. */
export function definedAdd(
  editor: ModuleEditor,
  layout: Layout,
  imports: DefinedImports,
): DefinedFunctions {
  const wide = () => editor.addGlobal(I64, true, 0);
  return {
    ...imports,
    callee: editor.addGlobal(I32, true, 0),
    arguments: Array.from({ length: ARGUMENTS }, wide),
    argumentOrigin: editor.addGlobal(I32, true, 0),
    result: wide(),
    resultOrigin: editor.addGlobal(I32, true, 0),
    frame: editor.addFunction("terrane frame", i32s(2), [], (code) => frameEmit(code, layout)),
    keep: editor.addFunction("terrane keep", i32s(3), [], (code) => keepEmit(code, layout)),
    copy: editor.addFunction("terrane copy", i32s(3), [], (code) => copyEmit(code, layout)),
    tests: {
      zero: {
        [I32]: editor.addFunction("terrane zero", [I32, I32], [I32], (code) => {
          code.get(0).get(1).const(-1).op(op.i32Xor, op.i32And, op.i32Eqz);
          code.get(0).get(1).op(op.i32Or, op.i32Eqz, op.i32Ne);
        }),
        [I64]: editor.addFunction("terrane zero", [I64, I64], [I32], (code) => {
          code.get(0).get(1).const64(-1n).op(op.i64Xor, op.i64And, op.i64Eqz);
          code.get(0).get(1).op(op.i64Or, op.i64Eqz, op.i32Ne);
        }),
      },
      order: {
        [I32]: editor.addFunction("terrane order", [I32, I32, I32, I32], [I32], (code) => {
          code.get(0).get(1).const(-1).op(op.i32Xor, op.i32And);
          code.get(2).get(3).op(op.i32Or, op.i32LtU);
          code.get(0).get(1).op(op.i32Or);
          code.get(2).get(3).const(-1).op(op.i32Xor, op.i32And, op.i32LtU, op.i32Ne);
        }),
        [I64]: editor.addFunction("terrane order", [I64, I64, I64, I64], [I32], (code) => {
          code.get(0).get(1).const64(-1n).op(op.i64Xor, op.i64And);
          code.get(2).get(3).op(op.i64Or, op.i64LtU);
          code.get(0).get(1).op(op.i64Or);
          code.get(2).get(3).const64(-1n).op(op.i64Xor, op.i64And, op.i64LtU, op.i32Ne);
        }),
      },
    },
  };
}

/** (address, size): marks these bytes as never written. */
function frameEmit(code: CodeWriter, { definedStart, originStart }: Layout): void {
  code.get(0).const(NEVER_WRITTEN).get(1).memoryFill();
  code.get(0).const(definedStart).op(op.i32Add).const(0xff).get(1).memoryFill();
  code.get(0).const(originStart).op(op.i32Add).const(0).get(1).memoryFill();
}

/** (address, size, origin): stores the origin for each word; 1 if it is not known. */
function keepEmit(code: CodeWriter, { originStart }: Layout): void {
  const origin = code.local("stored: origin", I32);
  code.get(2).const(1).get(2).op(op.select).set(origin);
  for (const step of [0, 4, -1]) {
    if (step === 4) code.get(1).const(4).op(op.i32GtU).if();
    code.get(0);
    if (step < 0) code.get(1).op(op.i32Add).const(1).op(op.i32Sub);
    else code.const(step).op(op.i32Add);
    code.const(-4).op(op.i32And).get(origin).access(op.i32Store, originStart);
    if (step === 4) code.end();
  }
}

/**
 * (target, source, length): copies undefined bits; and origins, if both addresses have the same
 * position in a word. Otherwise the bytes alone tell whether the host has written them.
 */
function copyEmit(code: CodeWriter, { definedStart, originStart }: Layout): void {
  const [target, source, length] = [0, 1, 2];
  code.get(target).const(definedStart).op(op.i32Add).get(source).const(definedStart).op(op.i32Add);
  code.get(length).memoryCopy();
  code.get(target).get(source).op(op.i32Xor).const(3).op(op.i32And).if();
  code.get(target).const(originStart).op(op.i32Add).const(0).get(length).memoryFill();
  code.op(op.else).get(target).const(originStart).op(op.i32Add);
  code.get(source).const(originStart).op(op.i32Add).get(length).memoryCopy().end();
}

const everything = new Uint8Array(256).fill(1);

interface DefinedSetting {
  readonly module: Module;
  readonly layout: Layout;
  readonly functions: DefinedFunctions;
  readonly functionIndex: (old: number) => number;
  /** Functions that are replaced, or must not change. */
  readonly excluded: ReadonlySet<number>;
}

export class DefinedHook implements CodeHook {
  readonly wanted: Uint8Array = everything;
  readonly #checks: CheckHook;
  readonly #setting: DefinedSetting;
  readonly #flowSetting: FlowSetting;
  readonly #dry = new CodeWriter(1 << 14);
  /** 1 for functions in which definedness is followed. */
  readonly #followed: Uint8Array;
  #flow: FullFlow | undefined;

  constructor(setting: DefinedSetting, checks: CheckHook) {
    const { module } = setting;
    const imported = module.importedFunctions;
    this.#checks = checks;
    this.#setting = setting;
    this.#followed = followedFind(module, setting.excluded);
    const names = module.imports.filter((each) => each.kind === 0).map((each) => each.name);
    this.#flowSetting = {
      module,
      functions: setting.functions,
      base: setting.layout.definedStart,
      typeNumbers: typeNumbers(module),
      isFollowed: (index) => this.#followed[index] === 1,
      isLenient: (index) => index >= imported || /^invoke_/.test(names[index] ?? ""),
      stackPointer: stackPointerIndex(module),
    };
  }

  begin(code: CodeWriter, old: number): boolean {
    if (!this.#checks.begin(code, old)) return false;
    const { module, functions } = this.#setting;
    this.#flow = undefined;
    if (this.#followed[old] === 1) {
      const facts = factsFind(module, old);
      this.#maybeFind(old, facts);
      this.#flow = new FullFlow(this.#flowSetting, code, old, facts);
      this.#flow.begin();
    } else code.const(0).with(op.globalSet, functions.callee);
    return true;
  }

  /** Finds the locals that may have undefined bits: repeats until there are no more. */
  #maybeFind(old: number, facts: FunctionFacts): void {
    for (let round = 0; round < ROUNDS; round++) {
      this.#dry.reset(facts.types.length);
      const flow = new FullFlow(this.#flowSetting, this.#dry, old, facts);
      const reader = bodyReader(this.#setting.module, old);
      while (!reader.done) {
        reader.next();
        flow.instruction(reader, () => undefined);
      }
      if (!flow.locals.isChanged) return;
    }
    facts.maybe.fill(1);
  }

  instruction(code: CodeWriter, at: CodeReader): boolean {
    const copy = () => this.#copy(code, at);
    const { layout, functions } = this.#setting;
    if (this.#flow) this.#flow.instruction(at, copy);
    else unfollowedStep(code, at, layout.definedStart, functions.result, copy);
    return true;
  }

  #copy(code: CodeWriter, at: CodeReader): void {
    if (this.#checks.wanted[this.#setting.module.bytes[at.start] as number] === 1) {
      if (this.#checks.instruction(code, at)) return;
    }
    if (at.op === op.call || at.op === op.returnCall || at.op === op.refFunc) {
      code.with(at.op, this.#setting.functionIndex(at.index));
    } else code.copy(this.#setting.module.bytes, at.start, at.at);
  }

  follow(at: CodeReader): void {
    this.#checks.follow(at);
  }
}

/** Numbers from 1 on; equal types have the same number. */
function typeNumbers(module: Module): number[] {
  const texts = module.types.map(({ params, results }) => `${params}>${results}`);
  return texts.map((text) => texts.indexOf(text) + 1);
}

function followedFind(module: Module, excluded: ReadonlySet<number>): Uint8Array {
  const followed = new Uint8Array(module.functions.length);
  module.bodies.forEach((body, i) => {
    const index = module.importedFunctions + i;
    const isSmall = body.locals + functionType(module, index).params.length <= LOCALS_MOST;
    if (isSmall && !excluded.has(index) && isFollowable(module, index)) followed[index] = 1;
  });
  return followed;
}

/** Whether all instructions of a function have a rule. */
function isFollowable(module: Module, index: number): boolean {
  const reader = bodyReader(module, index);
  while (!reader.done) {
    reader.next();
    if (opcodeOf(reader.op).rule === RULE.none) return false;
  }
  return true;
}

function factsFind(module: Module, index: number): FunctionFacts {
  const types = localTypes(module, index);
  const maybe = new Uint8Array(types.length).fill(1, 0, functionType(module, index).params.length);
  return { types, maybe, loops: loopsFind(module, index) };
}

function localTypes(module: Module, index: number): number[] {
  const body = module.bodies[index - module.importedFunctions] as Body;
  const types = [...functionType(module, index).params];
  const reader = new CodeReader(module.bytes, body.declarations, body.code, "locals");
  for (let group = 0; group < body.groups; group++) {
    const count = reader.u32();
    const type = readValueType(reader);
    for (let i = 0; i < count; i++) types.push(type);
  }
  return types;
}

/** By the offset of each loop: the locals that are set in it. */
function loopsFind(module: Module, index: number): Map<number, Set<number>> {
  const loops = new Map<number, Set<number>>();
  const open: (Set<number> | undefined)[] = [];
  const reader = bodyReader(module, index);
  while (!reader.done) {
    reader.next();
    if (reader.op === op.loop) {
      const set = new Set<number>();
      loops.set(reader.start, set);
      open.push(set);
    } else if (reader.op === op.block || reader.op === op.if) open.push(undefined);
    else if (reader.op === op.end) open.pop();
    else if (reader.op === op.localSet || reader.op === op.localTee) {
      for (const set of open) set?.add(reader.index);
    }
  }
  return loops;
}
