/** Serves a checked program: allocates its blocks, and reports its mistakes. */
import { PAGE_BYTES } from "../../common/constants.ts";
import { DefinedMemory } from "../definedness/memory.ts";
import { HOST_CALL } from "../definedness/setting.ts";
import { INFO_SIZE, INFO_WRITE } from "../shadow/access-checks.ts";
import { HOST_MODULE } from "../shadow/allocator-hooks.ts";
import type { Block, BlockTable } from "../shadow/block-table.ts";
import { Blocks } from "../shadow/blocks.ts";
import { GRANULE_SHIFT, NULL_PAGE, OPEN } from "../shadow/layout.ts";
import { type Areas, areasOf, programEnd } from "../shadow/program-areas.ts";
import { WatchedBlocks } from "../shadow/watched-blocks.ts";
import type { Frame } from "../symbols/frame.ts";
import { AccessReports } from "./access-reports.ts";
import { memoryCreate } from "./checked-memory.ts";
import type { Instrumented } from "./instrument.ts";
import { type LeakScan, leaksFind, type Range } from "./leaks.ts";
import { Replacement } from "./replacement.ts";
import type { Kind, Report } from "./report.ts";
import { type CheckerOptions, Reporter } from "./reporter.ts";
import { Watcher } from "./watcher.ts";

const QUARANTINE_BYTES = 16 * 2 ** 20;

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
  readonly #blocks: BlockTable;
  readonly #areas: Areas;
  readonly #shadow: Uint8Array;
  readonly #words: Uint32Array;
  readonly #defined: DefinedMemory | undefined;
  readonly #accesses: AccessReports;
  readonly #kept: number[] = [];
  /** Serves the allocator's functions. */
  readonly #server: Replacement | Watcher;
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
    this.#reporter = new Reporter(instrumented, options);
    this.memory = memoryCreate(layout.pages, memory.shared);
    this.#shadow = new Uint8Array(this.memory.buffer, layout.shadowStart);
    this.#words = new Uint32Array(this.memory.buffer);
    if (instrumented.uninitialised) this.#defined = new DefinedMemory(this.memory, layout);
    this.#areas = areasOf(instrumented.module);
    const server = this.#serverMake(options.quarantine ?? QUARANTINE_BYTES);
    [this.#server, this.#blocks] = [server, server.blocks];
    this.#accesses = new AccessReports({
      ...{ reporter: this.#reporter, blocks: this.#blocks, areas: this.#areas, layout },
      hasHeaders: instrumented.headers,
    });
    this.#shadow.fill(OPEN, 0, (layout.initialPages * PAGE_BYTES) >>> GRANULE_SHIFT);
    this.#shadow.fill(NULL_PAGE, 0, this.#areas.nullEnd >>> GRANULE_SHIFT);
  }

  #serverMake(quarantine: number): Replacement | Watcher {
    const { layout, functions, mode, maxMemory, module } = this.instrumented;
    const { memory } = this;
    const parts = { reporter: this.#reporter, functions, memory, defined: this.#defined };
    if (mode === "watch") {
      return new Watcher({ ...parts, blocks: new WatchedBlocks(memory, layout, quarantine) });
    }
    const capacity = maxMemory - programEnd(module, this.#areas);
    return new Replacement({
      ...parts,
      instrumented: this.instrumented,
      areas: this.#areas,
      blocks: new Blocks(memory, layout, quarantine, capacity),
      stackPointer: () => this.#stackPointer(),
      checkRange: (address, length, write) => this.checkRange(address, length, write),
    });
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
    if (this.#server instanceof Watcher) this.#server.attach(instance.exports);
  }

  #host(): WebAssembly.ModuleImports {
    return {
      ...this.#server.hooks(),
      undefined: (origin: number, use: number) => this.#accesses.undefinedUsed(origin >>> 0, use),
      settle: (address: number, size: number) => this.#defined?.settle(address >>> 0, size) ?? 0,
      report: (address: number, info: number, length: number) =>
        this.#accesses.bad(address >>> 0, info, length >>> 0),
    };
  }

  #stackPointer(): number {
    const { stackPointer, stackTop } = this.#areas;
    const global = stackPointer === undefined ? undefined : this.#exports[stackPointer];
    return global instanceof WebAssembly.Global ? (global.value as number) >>> 0 : stackTop;
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
    const scan = this.#leakScan(live, this.#roots());
    const kinds: [Kind, readonly Block[]][] = locals
      ? [["possible-leak", [...scan.lost, ...scan.indirect]]]
      : [
          ["leak", scan.lost],
          ["indirect-leak", scan.indirect],
        ];
    const unsure = this.#lostOnly(live, scan.reachable);
    kinds.push(["possible-leak", unsure]);
    const reports = kinds.flatMap(([kind, blocks]) => this.#reporter.leaks(kind, blocks));
    const isHeld = (block: Block) => !this.#kept.includes(block.ptr) && !unsure.includes(block);
    const reachable = scan.reachable.filter(isHeld);
    const bytes = reachable.reduce((sum, block) => sum + block.size, 0);
    return { reports, reachable: { blocks: reachable.length, bytes } };
  }

  /**
   * Where the program keeps its allocator, all of its heap is searched, with what was freed and
   * with blocks that pieces of the allocator have given out unseen. Blocks that nothing but such
   * memory leads to may be leaks.
   */
  #lostOnly(live: readonly Block[], reachable: readonly Block[]): readonly Block[] {
    if (!(this.#server instanceof Watcher)) return [];
    const { from, to } = this.#server.blocks.span;
    const outside = this.#roots().flatMap((range) => [
      { from: range.from, to: Math.min(range.to, from) },
      { from: Math.max(range.from, to), to: range.to },
    ]);
    const scan = this.#leakScan(live, outside);
    const lost = new Set([...scan.lost, ...scan.indirect]);
    return reachable.filter((block) => lost.has(block));
  }

  #roots(): Range[] {
    const { heapStart } = this.instrumented.layout;
    const { stackLow, stackTop } = this.#areas;
    const dead = Math.max(stackLow, Math.min(stackTop, this.#stackPointer()));
    return [
      { from: 0, to: stackLow },
      { from: dead, to: Math.min(heapStart, this.#programEnd()) },
    ];
  }

  #leakScan(live: readonly Block[], roots: readonly Range[]): LeakScan {
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
