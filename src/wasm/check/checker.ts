/** Serves a checked program: allocates its blocks, and reports its mistakes. */
import { PAGE_BYTES } from "../../common/constants.ts";
import { WASI_EINVAL, WASI_ENOMEM } from "../../common/errno.ts";
import { hex } from "../../common/errors.ts";
import type { Family } from "../allocators/roles.ts";
import { DefinedMemory } from "../definedness/memory.ts";
import { HOST_CALL } from "../definedness/setting.ts";
import { INFO_SIZE, INFO_WRITE } from "../shadow/access-checks.ts";
import { type AllocatorHooks, HOST_MODULE } from "../shadow/allocator-hooks.ts";
import { type Block, Blocks, type Near } from "../shadow/blocks.ts";
import { GRANULE_SHIFT, NULL_PAGE, OPEN } from "../shadow/layout.ts";
import { type Areas, areasOf, isOnStack, programEnd } from "../shadow/program-areas.ts";
import type { Frame } from "../symbols/frame.ts";
import { AccessReports } from "./access-reports.ts";
import { memoryCreate } from "./checked-memory.ts";
import type { Instrumented } from "./instrument.ts";
import { type LeakScan, leaksFind, type Range } from "./leaks.ts";
import { bytesText, type Kind, type Report } from "./report.ts";
import { type CheckerOptions, Reporter } from "./reporter.ts";
import type { Stacks } from "./stacks.ts";

const QUARANTINE_BYTES = 16 * 2 ** 20;

/** Families none of which may free what another one has allocated. */
const STRICT: readonly Family[] = ["malloc", "new", "new[]"];
/** Families that pass the size of a block that they free. */
const SIZED: readonly Family[] = ["new", "rust", "zig"];

/** Bits of a header of Rust's dlmalloc: the block is in use, and was not zeroed by the system. */
const NOT_ZEROED = 3;

/** What `Checker.leaks` has found. */
export interface LeakReports {
  /** Blocks that leaked: one report for each call site that allocated some, the largest first. */
  readonly reports: readonly Report[];
  /** Blocks that were not freed, but that the program can still reach. */
  readonly reachable: {
    /** How many there are. */
    readonly blocks: number;
    /** How many bytes they have together. */
    readonly bytes: number;
  };
}

/**
 * Runs one instance of a checked module: allocates its blocks, and reports its mistakes. Only one
 * thread may use the module.
 *
 * @example
 * const onReport = (report) => console.log(report.text);
 * const checker = new Checker(instrument(bytes), { onReport });
 * const module = await WebAssembly.compile(checker.instrumented.bytes);
 * const instance = await WebAssembly.instantiate(module, checker.importObject({ env }));
 * checker.attach(instance);
 */
export class Checker {
  /** The checked module. */
  readonly instrumented: Instrumented;
  /** The program's memory. It is larger than the program is told. */
  readonly memory: WebAssembly.Memory;
  readonly #reporter: Reporter;
  readonly #stacks: Stacks;
  readonly #blocks: Blocks;
  readonly #areas: Areas;
  readonly #shadow: Uint8Array;
  readonly #words: Uint32Array;
  readonly #defined: DefinedMemory | undefined;
  readonly #accesses: AccessReports;
  readonly #kept: number[] = [];
  readonly #families: readonly Family[];
  /** Whether new blocks need a header, or undefined bits. */
  readonly #preparesBlocks: boolean;
  #exports: WebAssembly.Exports = {};

  /**
   * Makes the memory and its shadow: about 1.6 GB of address space, of which only what is used
   * takes memory.
   *
   * @throws RangeError if the engine has no address space left.
   */
  constructor(instrumented: Instrumented, options: CheckerOptions = {}) {
    const { layout, memory } = instrumented;
    this.instrumented = instrumented;
    this.#families = instrumented.functions.map((each) => each.role.family);
    const withHeaders = this.#families.some((each) => each === "assemblyscript" || each === "rust");
    this.#preparesBlocks = withHeaders || instrumented.uninitialised;
    this.#reporter = new Reporter(instrumented, options);
    this.#stacks = this.#reporter.stacks;
    this.memory = memoryCreate(layout.pages, memory.shared);
    this.#shadow = new Uint8Array(this.memory.buffer, layout.shadowStart);
    this.#words = new Uint32Array(this.memory.buffer);
    if (instrumented.uninitialised) this.#defined = new DefinedMemory(this.memory, layout);
    this.#areas = areasOf(instrumented.module);
    const capacity = instrumented.maxMemory - programEnd(instrumented.module, this.#areas);
    const quarantine = options.quarantine ?? QUARANTINE_BYTES;
    this.#blocks = new Blocks(this.memory, layout, quarantine, capacity);
    this.#accesses = new AccessReports(this.#reporter, this.#blocks, this.#areas, layout);
    this.#shadow.fill(OPEN, 0, (layout.initialPages * PAGE_BYTES) >>> GRANULE_SHIFT);
    this.#shadow.fill(NULL_PAGE, 0, this.#areas.nullEnd >>> GRANULE_SHIFT);
  }

  /** All mistakes so far, without those that are suppressed. */
  get reports(): readonly Report[] {
    return this.#reporter.reports;
  }

  /**
   * The import object for the checked module.
   *
   * @param imports what the original imports.
   * @returns these imports, and what the checks need.
   */
  importObject(imports: WebAssembly.Imports = {}): WebAssembly.Imports {
    const { module, name } = this.instrumented.memory;
    const host = { ...imports[HOST_MODULE], ...this.#host() };
    const all: WebAssembly.Imports = { ...imports, [HOST_MODULE]: host };
    all[module] = { ...all[module], [name]: this.memory };
    return all;
  }

  /** Takes the instance, whose globals the leak scan and the classification of pointers read. */
  attach(instance: WebAssembly.Instance): void {
    this.#exports = instance.exports;
  }

  #host(): WebAssembly.ModuleImports & AllocatorHooks {
    return {
      undefined: (origin: number, use: number) => this.#accesses.undefinedUsed(origin >>> 0, use),
      settle: (address: number, size: number) => this.#defined?.settle(address >>> 0, size) ?? 0,
      alloc: (size, align, caller, context) => this.#alloc(1, size, align, caller, context, false),
      zero: (count, size, align, caller, context) =>
        this.#alloc(count, size, align, caller, context, true),
      free: (ptr, size, _align, caller, context) => this.#free(ptr >>> 0, size, caller, context),
      realloc: (ptr, count, size, old, align, caller, context) =>
        this.#realloc(ptr >>> 0, (count >>> 0) * (size >>> 0), old, align, caller, context),
      posix: (out, align, size, caller, context) =>
        this.#posix(out >>> 0, align, size, caller, context),
      usable: (ptr) => this.#usable(ptr >>> 0),
      report: (address: number, info: number, length: number) =>
        this.#accesses.bad(address >>> 0, info, length >>> 0),
    };
  }

  #alloc(
    count: number,
    size: number,
    align: number,
    caller: number,
    context: number,
    zero: boolean,
  ): number {
    const bytes = (count >>> 0) * (size >>> 0);
    const stack = this.#stacks.ofContext(context);
    if (bytes >= 2 ** 32) {
      const text = `${this.#nameOf(caller)} of ${count >>> 0} times ${bytesText(size >>> 0)}`;
      this.#reporter.report({ kind: "size-overflow", text, address: 0, stack });
      return 0;
    }
    const ptr = zero
      ? this.#blocks.allocZero(bytes, align, caller, stack)
      : this.#blocks.alloc(bytes, align, caller, stack);
    if (this.#preparesBlocks && ptr !== 0) this.#blockPrepare(ptr, bytes, caller, zero);
    return ptr;
  }

  #blockPrepare(ptr: number, size: number, caller: number, zero: boolean): void {
    this.#headerWrite(ptr, size, this.#family(caller));
    if (zero) this.#defined?.define(ptr, size);
    else this.#defined?.undefine(ptr, size);
  }

  /**
   * Writes the word before a block if code outside the allocator reads it: AssemblyScript's
   * collector reads the size; in Rust, inlined calls read whether memory must be zeroed.
   */
  #headerWrite(ptr: number, size: number, family: Family): void {
    if (family === "assemblyscript") this.#words[(ptr - 4) >>> 2] = size & ~3;
    else if (family === "rust") this.#words[(ptr - 4) >>> 2] = NOT_ZEROED;
  }

  #free(ptr: number, size: number, caller: number, context: number): void {
    if (ptr === 0) return;
    const id = this.#blocks.find(ptr);
    const stack = this.#stacks.ofContext(context);
    if (id === 0 || !this.#blocks.isLive(id)) this.#freeReport(id, ptr, caller, stack);
    else {
      this.#freeCheck(id, size, caller, stack);
      this.#blocks.free(id, caller, stack);
    }
  }

  #freeReport(id: number, ptr: number, caller: number, stack: number): void {
    const call = `${this.#nameOf(caller)} of ${hex(ptr)}`;
    this.#pointerReport(id === 0 ? this.#freeKind(ptr) : "double-free", call, ptr, stack);
  }

  #freeKind(ptr: number): Kind {
    const near = this.#blocks.near(ptr);
    if (near) return near.side === "inside" ? "interior-pointer" : "not-a-block";
    if (ptr >= this.instrumented.layout.heapStart) return "not-a-block";
    if (isOnStack(this.#areas, ptr) && ptr >= this.#stackPointer()) return "stack-pointer";
    const staticEnd = this.instrumented.layout.initialPages * PAGE_BYTES;
    return ptr < staticEnd ? "static-pointer" : "not-a-block";
  }

  #stackPointer(): number {
    const { stackPointer, stackTop } = this.#areas;
    const global = stackPointer === undefined ? undefined : this.#exports[stackPointer];
    return global instanceof WebAssembly.Global ? (global.value as number) >>> 0 : stackTop;
  }

  /** Checks that a block is freed by a function of the right family, and with the right size. */
  #freeCheck(id: number, size: number, caller: number, stack: number): void {
    const allocator = this.#family(this.#blocks.allocator(id));
    const freer = this.#family(caller);
    if (allocator !== freer) {
      if (STRICT.includes(allocator) && STRICT.includes(freer))
        this.#familyReport(id, caller, stack);
    } else if (size !== -1 && SIZED.includes(freer) && size >>> 0 !== this.#blocks.size(id)) {
      const { ptr } = this.#blocks.block(id);
      const text = `${this.#nameOf(caller)} of ${bytesText(size >>> 0)} at ${hex(ptr)}`;
      this.#pointerReport("size-mismatch", text, ptr, stack);
    }
  }

  #familyReport(id: number, caller: number, stack: number): void {
    const { ptr, allocator } = this.#blocks.block(id);
    const text = `${this.#nameOf(caller)} of ${hex(ptr)}, which is from ${this.#nameOf(allocator)}`;
    this.#pointerReport("family-mismatch", text, ptr, stack);
  }

  #pointerReport(kind: Kind, text: string, address: number, stack: number): void {
    const id = this.#blocks.find(address);
    const near: Near | undefined =
      id === 0
        ? this.#blocks.near(address)
        : { block: this.#blocks.block(id), side: "inside", distance: 0 };
    this.#reporter.report({ kind, text, address, stack, near });
  }

  #realloc(
    ptr: number,
    size: number,
    old: number,
    align: number,
    caller: number,
    context: number,
  ): number {
    if (size >= 2 ** 32) return 0;
    const stack = this.#stacks.ofContext(context);
    const id = ptr === 0 ? 0 : this.#blocks.find(ptr);
    const good = id !== 0 && this.#blocks.isLive(id);
    if (ptr !== 0 && !good) this.#reallocReport(id, ptr, size, caller, stack);
    else if (ptr !== 0) this.#freeCheck(id, old, caller, stack);
    const moved = this.#alloc(1, size, align, caller, context, false);
    if (!good || moved === 0) return moved;
    const both = Math.min(size, this.#blocks.size(id));
    this.#blocks.copy(ptr, moved, both);
    this.#defined?.copy(ptr, moved, both);
    this.#blocks.free(id, caller, stack);
    return moved;
  }

  /** The program continues with a new block, as if the pointer had been null. */
  #reallocReport(id: number, ptr: number, size: number, caller: number, stack: number): void {
    const text = `${this.#nameOf(caller)} of ${hex(ptr)} to ${bytesText(size)}`;
    this.#pointerReport(id === 0 ? "not-a-block" : "realloc-after-free", text, ptr, stack);
  }

  #posix(out: number, align: number, size: number, caller: number, context: number): number {
    if (align < 4 || (align & (align - 1)) !== 0) return WASI_EINVAL;
    const ptr = this.#alloc(1, size, align, caller, context, false);
    if (ptr === 0) return WASI_ENOMEM;
    this.checkRange(out, 4, true);
    new DataView(this.memory.buffer).setUint32(out, ptr, true);
    return 0;
  }

  #usable(ptr: number): number {
    const id = this.#blocks.find(ptr);
    return id === 0 ? 0 : this.#blocks.size(id);
  }

  /**
   * Checks that the program may access a range, for host functions that do so on its behalf: call
   * it before. Reading a file into a buffer that is too short is the program's mistake, and so is
   * writing out memory that the program has not written.
   *
   * @param address the first byte.
   * @param length in bytes.
   * @param write whether the host is going to write the range, or to read it.
   */
  checkRange(address: number, length: number, write: boolean): void {
    if (!this.#isOpen(address, length, write)) return;
    if (write) this.#defined?.define(address, length);
    else this.#definedCheck(address, length);
  }

  /**
   * Checks that a host function may write a range on behalf of the program. Unlike `checkRange`,
   * it leaves to `written` what was really written.
   *
   * @param address the first byte.
   * @param length in bytes.
   */
  checkTarget(address: number, length: number): void {
    this.#isOpen(address, length, true);
  }

  /**
   * Marks a range as written, after a host function has written it: with `uninitialised`, it counts
   * as defined whatever bytes it holds.
   *
   * @param address the first byte.
   * @param length in bytes.
   */
  written(address: number, length: number): void {
    this.#defined?.define(address, length);
  }

  /** Whether all bytes may be accessed; reports the first that may not. */
  #isOpen(address: number, length: number, write: boolean): boolean {
    const end = address + length;
    for (let at = address, granule = at - (at % 8); at < end; granule += 8, at = granule) {
      const open = this.#shadow[granule >>> GRANULE_SHIFT] ?? 0;
      const last = Math.min(end, granule + 8) - granule - 1;
      if (open <= OPEN && last < open) continue;
      const bad = open < OPEN ? Math.max(at, granule + open) : at;
      this.#accesses.bad(bad, (write ? INFO_WRITE : 0) | (length & INFO_SIZE), length);
      return false;
    }
    return true;
  }

  #definedCheck(address: number, length: number): void {
    const at = this.#defined?.find(address, length) ?? -1;
    if (at >= 0) this.#accesses.undefinedUsed(this.#defined?.settle(at, 1) ?? at, HOST_CALL);
  }

  /** The name of an allocator function by its number. */
  #nameOf(caller: number): string {
    return this.#reporter.nameOf(caller);
  }

  #family(caller: number): Family {
    return this.#families[caller] as Family;
  }

  /** The calls that led to an error that the program has thrown, innermost first: to a trap. */
  stackOf(error: Error): Frame[] {
    return this.#reporter.stackOf(error);
  }

  /**
   * Where an error that the program has thrown was made: the position in the original file, in
   * bytes; undefined if that is not known.
   */
  offsetOf(error: Error): number | undefined {
    return this.#reporter.offsetOf(error);
  }

  /**
   * The size of the first block for which the checker's own heap had no space, although the program
   * may have so much memory; undefined if there always was.
   */
  get refused(): number | undefined {
    return this.#blocks.refused;
  }

  /** Whether LLVM's stack pointer has left the stack: the calls have used it up. */
  get stackIsUsedUp(): boolean {
    const { stackLow, stackTop } = this.#areas;
    const pointer = this.#stackPointer();
    return (
      stackTop > 0 && (pointer > stackTop || pointer < Math.max(stackLow, this.#areas.nullEnd))
    );
  }

  /** Excludes the block at `ptr` from the leak scan: it is not a leak. */
  keep(ptr: number): void {
    this.#kept.push(ptr);
  }

  /**
   * Looks for blocks that nothing points to: no word of the program's data, its live stack, its
   * globals or of other reachable blocks. Variables of JavaScript are not searched.
   *
   * @param locals whether the program ended while functions were running. Pointers may then have
   *   been in their local variables, so that blocks count as possible leaks. Default: false.
   */
  leaks(locals = false): LeakReports {
    const live = this.#blocks.liveBlocks();
    for (const block of live) if (this.#reporter.isOfRuntime(block)) this.keep(block.ptr);
    const scan = this.#leakScan(live);
    const kinds: [Kind, readonly Block[]][] = locals
      ? [["possible-leak", [...scan.lost, ...scan.indirect]]]
      : [
          ["leak", scan.lost],
          ["indirect-leak", scan.indirect],
        ];
    const reports = kinds.flatMap(([kind, blocks]) => this.#reporter.leaks(kind, blocks));
    const reachable = scan.reachable.filter((block) => !this.#kept.includes(block.ptr));
    const bytes = reachable.reduce((sum, block) => sum + block.size, 0);
    return { reports, reachable: { blocks: reachable.length, bytes } };
  }

  #leakScan(live: readonly Block[]): LeakScan {
    const { heapStart } = this.instrumented.layout;
    const { stackLow, stackTop } = this.#areas;
    const dead = Math.max(stackLow, Math.min(stackTop, this.#stackPointer()));
    const roots: Range[] = [
      { from: 0, to: stackLow },
      { from: dead, to: Math.min(heapStart, this.#programEnd()) },
    ];
    const globals = Object.values(this.#exports)
      .filter((each) => each instanceof WebAssembly.Global)
      .map((global) => Number(global.value));
    return leaksFind(this.#words, live, roots, [...globals, ...this.#kept]);
  }

  /** The end of the program's memory, behind which the shadow is zero. */
  #programEnd(): number {
    const { layout } = this.instrumented;
    let pages = layout.initialPages;
    const step = PAGE_BYTES >>> GRANULE_SHIFT;
    while (pages < layout.maximumPages && this.#shadow[pages * step] === OPEN) pages++;
    return pages * PAGE_BYTES;
  }
}
