/**
 * Rewrites a module so that any of its functions can be called, stopped and taken back: fuel in
 * functions and loops, growth that only moves a number, and a mark for each page that is written.
 */
import { PAGE_BYTES, PAGES_MOST } from "../../common/constants.ts";
import type { CodeReader } from "../module/code.ts";
import type { CodeHook } from "../module/codesection.ts";
import { ModuleEditor } from "../module/editor.ts";
import { nameByType } from "../module/locals.ts";
import { functionType, KIND, type Limits, type Module } from "../module/module.ts";
import { RULE } from "../module/opcode-row.ts";
import { accessOf, byteValues, op, opcodeOf, PREFIXES } from "../module/opcodes.ts";
import { I32, V128 } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";

/** log2 of the bytes of a page of the map of written pages. */
export const MAP_SHIFT = 12;
/** Pages by which the memory can grow: 64 MiB. */
const PAGES_MORE = 1024;
/** Parameters of the longest call of an allocator. */
const PARAMS_MOST = 5;
/** A range of memory costs one unit of fuel for so many bytes, as a power of two. */
const RANGE_FUEL_SHIFT = 8;
const operandName = nameByType("operand");
const WAIT_32 = 0xfe001;
const WAIT_64 = 0xfe002;

/** Names of what the scratch module exports; functions and globals have their index behind it. */
export const SCRATCH = {
  fuel: "terrane:fuel",
  pages: "terrane:pages",
  memory: "terrane:memory",
  function: "terrane:f",
  global: "terrane:g",
} as const;

/** A module that was rewritten for an instance in which functions are tried. */
export interface ScratchModule {
  readonly module: Module;
  /** The rewritten file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Functions that can be called, by their index. */
  readonly callable: readonly number[];
  /** Pages of 64 KiB at the start. */
  readonly firstPages: number;
  /** The most pages that memory.grow can reach. */
  readonly mostPages: number;
  /** Pages of the engine's memory: those above `mostPages` hold the map. */
  readonly allPages: number;
}

/** Why a module cannot be tried; undefined if it can. */
export function obstacleOf(module: Module): string | undefined {
  if (module.memories.length > 1) return "the module has several memories";
  const limits = module.memories[0]?.limits;
  if (limits?.is64) return "its memory has 64-bit addresses";
  if (limits && limits.min >= PAGES_MOST / 2) return "its memory starts with 2 GiB or more";
  return undefined;
}

/** Rewrites a module that has a memory and no obstacle. */
export function scratchRewrite(module: Module): ScratchModule {
  return new ScratchRewrite(module).write();
}

/** Whether a function takes and returns only what a function of an allocator does. */
export function isCallable(module: Module, index: number): boolean {
  const { params, results } = functionType(module, index);
  const isShort = params.length <= PARAMS_MOST && results.length <= 1;
  return isShort && [...params, ...results].every((type) => type === I32);
}

class ScratchRewrite {
  readonly #module: Module;
  readonly #editor: ModuleEditor;
  readonly #fuel: number;
  readonly #pages: number;
  readonly #firstPages: number;
  readonly #mostPages: number;
  /** The address of the map: one byte for each page of 4 KiB. */
  readonly #mapAt: number;
  readonly #grow: number;
  readonly #markRange: number;

  constructor(module: Module) {
    this.#module = module;
    this.#editor = new ModuleEditor(module);
    const { min } = (module.memories[0] as { limits: Limits }).limits;
    this.#firstPages = min;
    // Beyond the module's maximum, too: a trial needs space.
    this.#mostPages = Math.min(PAGES_MOST, min + PAGES_MORE);
    this.#mapAt = this.#mostPages * PAGE_BYTES;
    this.#fuel = this.#editor.addGlobal(I32, true, 0);
    this.#pages = this.#editor.addGlobal(I32, true, min);
    this.#grow = this.#editor.addFunction("grow", [I32], [I32], (code) => this.#growEmit(code));
    this.#markRange = this.#editor.addFunction("markRange", [I32, I32], [], (code) =>
      this.#rangeEmit(code),
    );
  }

  write(): ScratchModule {
    const module = this.#module;
    const callable = module.bodies
      .map((_, i) => module.importedFunctions + i)
      .filter((index) => isCallable(module, index));
    this.#exportsAdd(callable);
    const { shared } = (module.memories[0] as { limits: Limits }).limits;
    const mapPages = Math.ceil((this.#mostPages << (16 - MAP_SHIFT)) / PAGE_BYTES) + 1;
    const allPages = this.#mostPages + mapPages;
    this.#editor.setMemory({ min: allPages, max: allPages, shared, is64: false });
    if (module.start !== undefined) {
      this.#editor.setStart(this.#editor.addFunction("noStart", [], [], () => {}));
    }
    const { bytes } = this.#editor.write(this.#hook());
    const [firstPages, mostPages] = [this.#firstPages, this.#mostPages];
    return { module, bytes, callable, firstPages, mostPages, allPages };
  }

  #exportsAdd(callable: readonly number[]): void {
    const editor = this.#editor;
    for (const index of callable) {
      editor.addExport(`${SCRATCH.function}${index}`, KIND.function, index);
    }
    this.#module.globals.forEach(({ mutable, imported, type }, index) => {
      const isReadable = type !== V128;
      if (mutable && !imported && isReadable) {
        editor.addExport(`${SCRATCH.global}${index}`, KIND.global, index);
      }
    });
    editor.addExport(SCRATCH.fuel, KIND.global, this.#fuel);
    editor.addExport(SCRATCH.pages, KIND.global, this.#pages);
    editor.addExport(SCRATCH.memory, KIND.memory, 0);
  }

  #hook(): CodeHook {
    return {
      wanted: wantedBytes,
      begin: (code) => {
        this.#burn(code);
        return true;
      },
      instruction: (code, at) => this.#instruction(code, at),
    };
  }

  #instruction(code: CodeWriter, at: CodeReader): boolean {
    if (at.op === op.loop) {
      code.copy(this.#module.bytes, at.start, at.at);
      this.#burn(code);
      return true;
    }
    if (at.op === op.memorySize) code.with(op.globalGet, this.#pages);
    else if (at.op === op.memoryGrow) code.call(this.#grow);
    else if (at.op === WAIT_32 || at.op === WAIT_64) code.op(op.unreachable);
    else return this.#writeMark(code, at);
    return true;
  }

  /** Code before an instruction that writes; the instruction itself follows. */
  #writeMark(code: CodeWriter, at: CodeReader): false {
    const access = accessOf(at.op);
    if (access?.write) this.#storeMark(code, at, access.operands, access.size);
    else if (opcodeOf(at.op).rule === RULE.range) this.#rangeMark(code);
    return false;
  }

  #storeMark(code: CodeWriter, at: CodeReader, operands: readonly number[], size: number): void {
    const kept = operands.map((type, i) => code.local(operandName(type), type, i));
    const address = code.local("address", I32);
    for (const local of [...kept].reverse()) code.set(local);
    code.tee(address);
    this.#pageMark(code, address, at.offset);
    // A store that is not aligned can reach the next page.
    if (2 ** at.align < size) this.#pageMark(code, address, at.offset + size - 1);
    for (const local of kept) code.get(local);
  }

  #pageMark(code: CodeWriter, address: number, offset: number): void {
    code.get(address);
    if (offset > 0) code.const(offset | 0).op(op.i32Add);
    code.const(MAP_SHIFT).op(op.i32ShrU).const(1).access(I32_STORE_8, this.#mapAt);
  }

  /** memory.fill, copy and init have an address, something, and a length. */
  #rangeMark(code: CodeWriter): void {
    const [address, middle, length] = [0, 1, 2].map((i) => code.local("range", I32, i)) as [
      number,
      number,
      number,
    ];
    code.set(length).set(middle).set(address);
    code.get(address).get(length).call(this.#markRange);
    code.get(address).get(middle).get(length);
  }

  #burn(code: CodeWriter): void {
    const fuel = this.#fuel;
    code.with(op.globalGet, fuel).const(1).op(op.i32Sub).with(op.globalSet, fuel);
    code.with(op.globalGet, fuel).const(0).op(I32_LT_S).if().op(op.unreachable).end();
  }

  /** grow(pages): moves the number of pages, up to the most. */
  #growEmit(code: CodeWriter): void {
    const room = code.local("room", I32);
    code.const(this.#mostPages).with(op.globalGet, this.#pages).op(op.i32Sub).set(room);
    code.get(0).get(room).op(op.i32GtU).if().const(-1).op(op.return).end();
    code.with(op.globalGet, this.#pages);
    code.with(op.globalGet, this.#pages).get(0).op(op.i32Add).with(op.globalSet, this.#pages);
  }

  /** markRange(address, length): nothing if the range traps in any case. */
  #rangeEmit(code: CodeWriter): void {
    const page = code.local("page", I32);
    const most = this.#mapAt | 0;
    code.get(1).op(op.i32Eqz).get(1).const(most).op(op.i32GtU, op.i32Or);
    code.get(0).const(most).get(1).op(op.i32Sub, op.i32GtU, op.i32Or).if().op(op.return).end();
    code.with(op.globalGet, this.#fuel).get(1).const(RANGE_FUEL_SHIFT).op(op.i32ShrU, op.i32Sub);
    code.with(op.globalSet, this.#fuel);
    code.get(0).const(MAP_SHIFT).op(op.i32ShrU).set(page).loop();
    code.get(page).const(1).access(I32_STORE_8, this.#mapAt);
    code.get(page).const(1).op(op.i32Add).tee(page);
    code.get(0).get(1).op(op.i32Add).const(1).op(op.i32Sub).const(MAP_SHIFT).op(op.i32ShrU);
    code.op(op.i32LeU).brIf(0).end();
  }
}

const I32_STORE_8 = 0x3a;
const I32_LT_S = 0x48;

/** First bytes of the instructions that the hook changes. */
const wantedBytes = Uint8Array.from(
  byteValues(({ code, access }) => {
    const isSpecial = code === op.loop || code === op.memorySize || code === op.memoryGrow;
    return isSpecial || access?.write ? 1 : 0;
  }),
);
for (const prefix of PREFIXES) wantedBytes[prefix] = 1;
