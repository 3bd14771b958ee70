/**
 * The code that is added to a checked program: before every access a check of its shadow, inline;
 * and functions for accesses that this check does not settle.
 */
import type { CodeReader } from "../module/code.ts";
import type { CodeHook } from "../module/codesection.ts";
import type { ModuleEditor } from "../module/editor.ts";
import { nameByType } from "../module/locals.ts";
import type { Module } from "../module/module.ts";
import { type Access, CALLS, CALLS_INDIRECT } from "../module/opcode-row.ts";
import { accessOf, byteValues, op, opcodeOf, PREFIXES } from "../module/opcodes.ts";
import { VECTOR_SCAN, WORD_SCAN } from "../module/scan.ts";
import { I32 } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";
import { GRANULE_SHIFT, type Layout, OPEN } from "./layout.ts";
import { CheckedAccesses } from "./redundant-checks.ts";

/** What the host is told of an access, in one number: its size and these bits. */
export const INFO_SIZE = 31;
export const INFO_WRITE = 32;
/** The access looks for the end of a string, and may read beyond it in its granule. */
const INFO_SCAN = 64;
/** The access is of memory.copy, memory.fill or memory.init. */
const INFO_RANGE = 128;

/** Bits above these: the number of the access in the module, from 1 on. */
export const INFO_SITE_SHIFT = 8;
const SITES_MOST = 2 ** (32 - INFO_SITE_SHIFT) - 1;

const OPEN_TWICE = OPEN * 0x101;
const OPEN_GRANULES = BigInt(OPEN) * 0x0101010101010101n;
/** Bytes whose shadow the range check reads in one load. */
const STRIDE = 64;
/** By how many bits a calling context shifts for each call: it holds 8 calls. */
const CONTEXT_SHIFT = 4;

/** Indices in the new module of the functions and globals that checks use. */
interface CheckFunctions {
  /** (address, info): checks one access exactly. */
  readonly slow: number;
  /** (address, length, info): checks a range. */
  readonly range: number;
  /** (pages) → pages before, or -1: memory.grow within the window. */
  readonly grow: number;
  /** Global: the pages that the program has. */
  readonly window: number;
  /** Global: the calling context, a hash of the latest calls. */
  readonly context: number;
}

/** Adds these functions and globals. `report` is the import with (address, info, length). */
export function checkFunctionsAdd(
  editor: ModuleEditor,
  layout: Layout,
  report: number,
): CheckFunctions {
  const window = editor.addGlobal(I32, true, layout.initialPages);
  const context = editor.addGlobal(I32, true, 0);
  const range = editor.addFunction("terrane range check", [I32, I32, I32], [], (code) =>
    rangeEmit(code, layout, report),
  );
  const slow = editor.addFunction("terrane check", [I32, I32], [], (code) =>
    slowEmit(code, layout, report, range),
  );
  const grow = editor.addFunction("terrane memory.grow", [I32], [I32], (code) =>
    growEmit(code, layout, window),
  );
  return { slow, range, grow, window, context };
}

/** Leaves the shadow byte of the address on the stack. */
function shadowLoad(code: CodeWriter, layout: Layout): CodeWriter {
  return code.const(GRANULE_SHIFT).op(op.i32ShrU).access(op.i32Load8U, layout.shadowStart);
}

/**
 * An access is good if its last byte is open, and its first granule if that is another one. Of an
 * aligned access that looks for the end of a string, only the first byte counts.
 */
function slowEmit(code: CodeWriter, layout: Layout, report: number, range: number): void {
  const [address, info] = [0, 1];
  const size = code.local("check: size", I32);
  const last = code.local("check: last byte", I32);
  const shadow = code.local("check: shadow", I32);
  code.get(info).const(INFO_SIZE).op(op.i32And).set(size);
  code.get(info).const(INFO_SCAN).op(op.i32And).op(op.i32Eqz);
  code.get(size).const(1).op(op.i32Sub).get(address).op(op.i32And).const(0).op(op.i32Ne);
  code.op(op.i32Or).op(op.if, I32);
  code.get(size).const(16).op(op.i32Eq).if();
  code.get(address).get(size).get(info).call(range).op(op.return).end();
  code.get(address).get(size).op(op.i32Add).const(1).op(op.i32Sub);
  code.op(op.else).get(address).end().set(last);
  shadowLoad(code.get(last), layout).tee(shadow).const(OPEN).op(op.i32LeU);
  code.get(last).const(7).op(op.i32And).get(shadow).op(op.i32LtU).op(op.i32And);
  shadowLoad(code.get(address), layout).const(OPEN).op(op.i32Eq);
  code.get(address).get(last).op(op.i32Xor).const(8).op(op.i32LtU).op(op.i32Or).op(op.i32And);
  code.op(op.i32Eqz).if();
  code.get(address).get(info).get(size).call(report).end();
}

/** Walks a range, 64 bytes at a time where it can; reports the first byte that is not open. */
function rangeEmit(code: CodeWriter, layout: Layout, report: number): void {
  const [address, length, info] = [0, 1, 2];
  const at = code.local("range check: address", I32);
  const end = code.local("range check: end", I32);
  const shadow = code.local("range check: shadow", I32);
  const limit = code.local("range check: limit", I32);
  code.get(address).tee(at).get(length).op(op.i32Add).set(end);
  code.get(length).op(op.i32Eqz).if().op(op.return).end();
  // One that wraps around traps in the engine, behind this report.
  code.get(end).get(address).op(op.i32LtU).get(end).const(0).op(op.i32Ne, op.i32And).if();
  code.get(address).get(info).get(length).call(report).op(op.return).end();
  code.loop();
  code.block();
  code
    .get(at)
    .const(STRIDE - 1)
    .op(op.i32And)
    .brIf(0);
  code.get(end).get(at).op(op.i32Sub).const(STRIDE).op(op.i32LtU).brIf(0);
  code.get(at).const(GRANULE_SHIFT).op(op.i32ShrU).access(op.i64Load, layout.shadowStart);
  code.const64(OPEN_GRANULES).op(op.i64Eq).op(op.i32Eqz).brIf(0);
  code.get(at).const(STRIDE).op(op.i32Add).tee(at).get(end).op(op.i32GeU).if().op(op.return).end();
  code.br(1);
  code.end();
  code.get(at).const(7).op(op.i32Or).const(1).op(op.i32Add).tee(limit);
  // select keeps its first operand when the condition holds.
  code.get(end).get(limit).get(end).op(op.i32LtU).op(op.select).set(limit);
  shadowLoad(code.get(at), layout).tee(shadow).const(OPEN).op(op.i32LeU);
  code.get(limit).const(1).op(op.i32Sub).const(7).op(op.i32And).get(shadow).op(op.i32LtU);
  code.op(op.i32And).op(op.i32Eqz).if();
  code.get(at).const(-8).op(op.i32And).get(shadow).op(op.i32Add);
  code.get(at).get(shadow).const(OPEN).op(op.i32LtU).op(op.select).set(limit);
  code.get(limit).get(at).get(limit).get(at).op(op.i32GtU).op(op.select);
  code.get(info).get(length).call(report).op(op.return).end();
  code.get(limit).tee(at).get(end).op(op.i32LtU).brIf(0);
  code.end();
}

/** Adds pages to the window; returns -1 if they are too many. */
function growEmit(code: CodeWriter, layout: Layout, window: number): void {
  const pages = 0;
  const before = code.local("growth: pages before", I32);
  code.get(pages).const(layout.maximumPages).with(op.globalGet, window).tee(before);
  code.op(op.i32Sub, op.i32GtU).if().const(-1).op(op.return).end();
  code
    .get(before)
    .const(16 - GRANULE_SHIFT)
    .op(op.i32Shl)
    .const(layout.shadowStart)
    .op(op.i32Add);
  code
    .const(OPEN)
    .get(pages)
    .const(16 - GRANULE_SHIFT)
    .op(op.i32Shl)
    .memoryFill();
  code.get(before).get(pages).op(op.i32Add).with(op.globalSet, window).get(before);
}

const SIZES: readonly number[] = [op.memorySize, op.memoryGrow];

/** First bytes of the instructions that get code: accesses, calls, and all prefixes. */
const wanted = Uint8Array.from(
  byteValues(({ access, code, control }) => {
    return access !== undefined || control & CALLS || SIZES.includes(code) ? 1 : 0;
  }),
);
for (const prefix of PREFIXES) wanted[prefix] = 1;

function contextLocal(code: CodeWriter): number {
  return code.local("calling context", I32);
}

const operandName = nameByType("access: operand");

function operandLocal(code: CodeWriter, type: number, position: number): number {
  return code.local(operandName(type), type, position);
}

/** The locals in which the operands of memory.copy, fill and init are kept. */
export function rangeLocals(code: CodeWriter) {
  return {
    target: code.local("range: target", I32),
    source: code.local("range: source or value", I32),
    length: code.local("range: length", I32),
  };
}

interface CheckSetting {
  readonly module: Module;
  readonly layout: Layout;
  readonly functions: CheckFunctions;
  /** For each function: 1 if calling it can lead to an allocation. */
  readonly leads: Uint8Array;
  /** Whether an indirect call can lead to an allocation. */
  readonly indirectLeads: boolean;
  /** Functions that get no checks. */
  readonly exempt: ReadonlySet<number>;
  /** Whether code outside the allocator reads headers: see isHeaderRead. */
  readonly readsHeaders: boolean;
}

/** The hook that adds checks and calling contexts to code. */
export class CheckHook implements CodeHook {
  readonly wanted: Uint8Array = wanted;
  readonly #setting: CheckSetting;
  readonly #checked = new CheckedAccesses();
  #index = 0;
  #callSite = 0;
  #scan = 0;
  /** Locals of the function, once it has them: a function has many accesses. */
  #address: number | undefined;
  #effective: number | undefined;
  /** How many accesses have a check. */
  checks = 0;

  /** The number of the access that is checked now; later ones of a huge module have none. */
  #site(): number {
    return this.checks > SITES_MOST ? 0 : this.checks << INFO_SITE_SHIFT;
  }

  constructor(setting: CheckSetting) {
    this.#setting = setting;
  }

  begin(code: CodeWriter, old: number): boolean {
    const { module, exempt, leads, functions } = this.#setting;
    if (exempt.has(old)) return false;
    this.#index = old;
    this.#scan = module.code.flags[old - module.importedFunctions] as number;
    this.#checked.reset();
    this.#address = undefined;
    this.#effective = undefined;
    if (leads[old]) code.with(op.globalGet, functions.context).set(contextLocal(code));
    return true;
  }

  instruction(code: CodeWriter, at: CodeReader): boolean {
    const access = accessOf(at.op);
    if (access) return this.#access(code, at, access);
    const { control } = opcodeOf(at.op);
    if ((control & CALLS) === 0) return this.#memory(code, at.op);
    const { leads, indirectLeads } = this.#setting;
    if (control & CALLS_INDIRECT ? indirectLeads : leads[at.index]) this.#contextPass(code);
    return false;
  }

  follow(at: CodeReader): void {
    this.#checked.follow(at);
  }

  /** The callee's context: the caller's, shifted, with a number of the call site mixed in. */
  #contextPass(code: CodeWriter): void {
    if (!this.#setting.leads[this.#index]) return;
    this.#callSite = (this.#callSite + 0x9e3779b1) | 0;
    const mixed = Math.imul(this.#callSite ^ (this.#callSite >>> 15), 0x2c1b3c6d);
    code.get(contextLocal(code)).const(CONTEXT_SHIFT).op(op.i32Shl);
    code.const(mixed ^ (mixed >>> 13)).op(op.i32Xor);
    code.with(op.globalSet, this.#setting.functions.context);
  }

  #memory(code: CodeWriter, what: number): boolean {
    const { functions } = this.#setting;
    if (what === op.memorySize) code.with(op.globalGet, functions.window);
    else if (what === op.memoryGrow) code.call(functions.grow);
    else if (what === op.memoryFill) this.#range(code, () => code.memoryFill());
    else if (what === op.memoryCopy) this.#range(code, () => code.memoryCopy(), true);
    else if (what === op.memoryInit) {
      this.#range(code, () => undefined);
      return false;
    } else return false;
    return true;
  }

  #range(code: CodeWriter, write: () => void, reads = false): void {
    const { length, source, target } = rangeLocals(code);
    const { range } = this.#setting.functions;
    this.checks++;
    code.set(length).set(source).tee(target);
    code
      .get(length)
      .const(INFO_RANGE | INFO_WRITE | this.#site())
      .call(range);
    if (reads)
      code
        .get(source)
        .get(length)
        .const(INFO_RANGE | this.#site())
        .call(range);
    code.get(target).get(source).get(length);
    write();
  }

  #access(code: CodeWriter, at: CodeReader, access: Access): boolean {
    const { operands, size } = access;
    const { module, readsHeaders } = this.#setting;
    if (readsHeaders && isHeaderRead(module.bytes, at)) return false;
    // Of scans only the first byte is checked, so other accesses cannot rely on them.
    const scans = (this.#scan & (WORD_SCAN | VECTOR_SCAN)) !== 0;
    if (!scans && this.#checked.isChecked(at, operands.length, size)) return false;
    this.checks++;
    for (let i = operands.length - 1; i >= 0; i--) {
      code.set(operandLocal(code, operands[i] as number, i));
    }
    this.#address ??= code.local("access: address", I32);
    const address = this.#address;
    code.tee(address);
    let effective = address;
    if (at.offset !== 0) {
      this.#effective ??= code.local("access: effective address", I32);
      effective = this.#effective;
      code.const(at.offset).op(op.i32Add).tee(effective);
    }
    this.#check(code, effective, size, at.align);
    code
      .if()
      .get(effective)
      .const(this.#info(access) | this.#site())
      .call(this.#setting.functions.slow)
      .end();
    code.get(address);
    for (let i = 0; i < operands.length; i++)
      code.get(operandLocal(code, operands[i] as number, i));
    return false;
  }

  /** From the address on the stack to an i32 that is not 0 if the access needs the exact check. */
  #check(code: CodeWriter, address: number, size: number, align: number): void {
    const { layout } = this.#setting;
    const aligned = 2 ** align >= Math.min(size, 8);
    if (size === 16) {
      code.const(GRANULE_SHIFT).op(op.i32ShrU).access(op.i32Load16U, layout.shadowStart);
      code.const(OPEN_TWICE).op(op.i32Ne);
      if (!aligned) {
        shadowLoad(code.get(address).const(15).op(op.i32Add), layout);
        code.const(OPEN).op(op.i32Ne).op(op.i32Or);
      }
      return;
    }
    shadowLoad(code, layout);
    if (!aligned) {
      shadowLoad(
        code
          .get(address)
          .const(size - 1)
          .op(op.i32Add),
        layout,
      ).op(op.i32And);
    }
    code.const(OPEN).op(op.i32Ne);
  }

  #info(access: Access): number {
    if (access.write) return access.size | INFO_WRITE;
    const scan = access.size === 16 ? VECTOR_SCAN : WORD_SCAN;
    const scans = access.size >= 4 && (this.#scan & scan) !== 0;
    return access.size | (scans ? INFO_SCAN : 0);
  }
}

/** The three bytes of an i32.const of 7 bits and an instruction behind it. */
function constThen(value: number, code: number): number {
  return (op.i32Const << 16) | ((value & 0x7f) << 8) | code;
}

const STEP_BACK: readonly number[] = [constThen(4, op.i32Sub), constThen(-4, op.i32Add)];
const LOW_BITS = constThen(3, op.i32And);

/**
 * Rust's dlmalloc reads two bits of a block's header to learn whether the system has zeroed it.
 * Optimisers inline that read in callers, outside the functions that were replaced.
 */
function isHeaderRead(bytes: Uint8Array, at: CodeReader): boolean {
  if ((at.op !== op.i32Load8U && at.op !== op.i32Load) || at.offset !== 0) return false;
  return (
    STEP_BACK.includes(threeBytes(bytes, at.start - 3)) && threeBytes(bytes, at.at) === LOW_BITS
  );
}

function threeBytes(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
  );
}
