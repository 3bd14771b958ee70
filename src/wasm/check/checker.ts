/** Runs beside a checked program: answers its allocator's calls, and tells what it does wrong. */
import { hex } from "../../common/errors.ts";
import type { Family } from "../allocators/roles.ts";
import { DefinedMemory } from "../definedness/memory.ts";
import { HOST_CALL, USES } from "../definedness/setting.ts";
import { INFO_SIZE, INFO_WRITE } from "../shadow/access-checks.ts";
import { type AllocatorHooks, HOST_MODULE } from "../shadow/allocator-hooks.ts";
import { type Block, Blocks, type Near } from "../shadow/blocks.ts";
import { GRANULE_SHIFT, NULL_PAGE, OPEN, PAGE } from "../shadow/layout.ts";
import { type Regions, regionsOf } from "../shadow/program-areas.ts";
import type { Frame } from "../symbols/frame.ts";
import type { Instrumented } from "./instrument.ts";
import { type LeakScan, leaksFind, type Range } from "./leaks.ts";
import { accessText, bytesText, type Kind, type Report } from "./report.ts";
import { type CheckerOptions, CheckHalt, Reporter } from "./reporter.ts";
import type { Stacks } from "./stacks.ts";

const QUARANTINE_BYTES = 16 * 2 ** 20;

/** Families of which one may not free what another has made. */
const STRICT: readonly Family[] = ["malloc", "new", "new[]"];
/** Families that say the size when they free. */
const SIZED: readonly Family[] = ["new", "rust", "zig"];

/** Bits of a header of Rust's dlmalloc: in use, and not fresh from the system. */
const NOT_ZEROED = 3;

/** What the leak scan has found, in words. */
export interface LeakReports {
  /** Blocks that leaked, one report for each place that allocated them. */
  readonly reports: readonly Report[];
  readonly reachable: { readonly blocks: number; readonly bytes: number };
}

/**
 * Watches one instance of a checked module. For one thread.
 *
 * @example
 * const checker = new Checker(instrument(bytes), { onReport: (r) => console.log(formatReport(r))
 * }); const module = await WebAssembly.compile(checker.instrumented.bytes); const instance = await
 * WebAssembly.instantiate(module, checker.importObject({ env })); checker.attach(instance);
 */
export class Checker {
  readonly instrumented: Instrumented;
  /** The program's memory. It is larger than what the program sees of it. */
  readonly memory: WebAssembly.Memory;
  readonly #reporter: Reporter;
  readonly #stacks: Stacks;
  readonly #blocks: Blocks;
  readonly #regions: Regions;
  readonly #shadow: Uint8Array;
  readonly #words: Uint32Array;
  readonly #defined: DefinedMemory | undefined;
  /** What was never written and has been told of. */
  readonly #told = new Set<string>();
  readonly #kept: number[] = [];
  readonly #families: readonly Family[];
  /** Whether more is kept of a block than Blocks does: a header, or which bytes were written. */
  readonly #hasBooks: boolean;
  #exports: WebAssembly.Exports = {};

  constructor(instrumented: Instrumented, options: CheckerOptions = {}) {
    const { layout, memory } = instrumented;
    this.instrumented = instrumented;
    this.#families = instrumented.functions.map((each) => each.role.family);
    const withHeaders = this.#families.some((each) => each === "assemblyscript" || each === "rust");
    this.#hasBooks = withHeaders || instrumented.uninitialised;
    this.#reporter = new Reporter(instrumented, options);
    this.#stacks = this.#reporter.stacks;
    this.memory = new WebAssembly.Memory({
      initial: layout.pages,
      maximum: layout.pages,
      shared: memory.shared,
    });
    this.#shadow = new Uint8Array(this.memory.buffer, layout.shadowStart);
    this.#words = new Uint32Array(this.memory.buffer);
    if (instrumented.uninitialised) this.#defined = new DefinedMemory(this.memory, layout);
    this.#blocks = new Blocks(this.memory, layout, options.quarantine ?? QUARANTINE_BYTES);
    this.#regions = regionsOf(instrumented.module);
    this.#shadow.fill(OPEN, 0, (layout.initialPages * PAGE) >>> GRANULE_SHIFT);
    this.#shadow.fill(NULL_PAGE, 0, this.#regions.nullEnd >>> GRANULE_SHIFT);
  }

  /** All mistakes so far, suppressed ones excepted. */
  get reports(): readonly Report[] {
    return this.#reporter.reports;
  }

  /** The import object for the checked module: `imports`, and what the checks need. */
  importObject(imports: WebAssembly.Imports = {}): WebAssembly.Imports {
    const { module, name } = this.instrumented.memory;
    const host = { ...imports[HOST_MODULE], ...this.#host() };
    const all: WebAssembly.Imports = { ...imports, [HOST_MODULE]: host };
    all[module] = { ...all[module], [name]: this.memory };
    return all;
  }

  /** Tells the checker of the instance, whose globals the leak scan needs. */
  attach(instance: WebAssembly.Instance): void {
    this.#exports = instance.exports;
  }

  #host(): WebAssembly.ModuleImports & AllocatorHooks {
    return {
      undefined: (origin: number, use: number) => this.#undefined(origin >>> 0, use),
      settle: (address: number, size: number) => this.#defined?.settle(address >>> 0, size) ?? 0,
      alloc: (size, align, who, context) => this.#alloc(1, size, align, who, context, false),
      zero: (count, size, align, who, context) =>
        this.#alloc(count, size, align, who, context, true),
      free: (ptr, size, _align, who, context) => this.#free(ptr >>> 0, size, who, context),
      realloc: (ptr, count, size, old, align, who, context) =>
        this.#realloc(ptr >>> 0, (count >>> 0) * (size >>> 0), old, align, who, context),
      posix: (out, align, size, who, context) => this.#posix(out >>> 0, align, size, who, context),
      usable: (ptr) => this.#usable(ptr >>> 0),
      report: (address: number, info: number, length: number) =>
        this.#access(address >>> 0, info, length >>> 0),
    };
  }

  #alloc(
    count: number,
    size: number,
    align: number,
    who: number,
    context: number,
    zero: boolean,
  ): number {
    const bytes = (count >>> 0) * (size >>> 0);
    const stack = this.#stacks.ofContext(context);
    if (bytes >= 2 ** 32) {
      const text = `${this.#who(who)} of ${count >>> 0} times ${bytesText(size >>> 0)}`;
      this.#reporter.tell({ kind: "calloc-overflow", text, address: 0, stack });
      return 0;
    }
    const ptr = zero
      ? this.#blocks.allocZero(bytes, align, who, stack)
      : this.#blocks.alloc(bytes, align, who, stack);
    if (this.#hasBooks && ptr !== 0) this.#booksKeep(ptr, bytes, who, zero);
    return ptr;
  }

  #booksKeep(ptr: number, size: number, who: number, zero: boolean): void {
    this.#headerWrite(ptr, size, this.#family(who));
    if (zero) this.#defined?.define(ptr, size);
    else this.#defined?.undefine(ptr, size);
  }

  /**
   * The word before a block, where code outside of the allocator reads it: AssemblyScript's
   * collector asks for the size; what wants zeroed memory in Rust, whether it has to zero it.
   */
  #headerWrite(ptr: number, size: number, family: Family): void {
    if (family === "assemblyscript") this.#words[(ptr - 4) >>> 2] = size & ~3;
    else if (family === "rust") this.#words[(ptr - 4) >>> 2] = NOT_ZEROED;
  }

  #free(ptr: number, size: number, who: number, context: number): void {
    if (ptr === 0) return;
    const id = this.#blocks.find(ptr);
    const stack = this.#stacks.ofContext(context);
    if (id === 0 || !this.#blocks.isLive(id)) this.#freeRefuse(id, ptr, who, stack);
    else {
      this.#freeCheck(id, size, who, stack);
      this.#blocks.free(id, who, stack);
    }
  }

  #freeRefuse(id: number, ptr: number, who: number, stack: number): void {
    const call = `${this.#who(who)} of ${hex(ptr)}`;
    this.#pointerTell(id === 0 ? this.#freeKind(ptr) : "double-free", call, ptr, stack);
  }

  #freeKind(ptr: number): Kind {
    const near = this.#blocks.near(ptr);
    if (near) return near.place === "inside" ? "interior-free" : "wild-free";
    if (ptr >= this.instrumented.layout.heapStart) return "wild-free";
    if (this.#isOnStack(ptr) && ptr >= this.#stackPointer()) return "stack-free";
    return ptr < this.instrumented.layout.initialPages * PAGE ? "static-free" : "wild-free";
  }

  #isOnStack(address: number): boolean {
    return address >= this.#regions.stackLow && address < this.#regions.stackTop;
  }

  #stackPointer(): number {
    const { stackPointer, stackTop } = this.#regions;
    const global = stackPointer === undefined ? undefined : this.#exports[stackPointer];
    return global instanceof WebAssembly.Global ? (global.value as number) >>> 0 : stackTop;
  }

  /** A block that exists is freed: by the right function, and with the right size? */
  #freeCheck(id: number, size: number, who: number, stack: number): void {
    const maker = this.#blocks.maker(id);
    const [made, freed] = [this.#family(maker), this.#family(who)];
    if (made !== freed) {
      if (STRICT.includes(made) && STRICT.includes(freed)) this.#mismatchTell(id, who, stack);
    } else if (size !== -1 && SIZED.includes(made) && size >>> 0 !== this.#blocks.size(id)) {
      const { ptr } = this.#blocks.block(id);
      const text = `${this.#who(who)} of ${bytesText(size >>> 0)} at ${hex(ptr)}`;
      this.#pointerTell("size-mismatch", text, ptr, stack);
    }
  }

  #mismatchTell(id: number, who: number, stack: number): void {
    const { ptr, maker } = this.#blocks.block(id);
    const text = `${this.#who(who)} of ${hex(ptr)}, which is from ${this.#who(maker)}`;
    this.#pointerTell("mismatched-free", text, ptr, stack);
  }

  #pointerTell(kind: Kind, text: string, address: number, stack: number): void {
    const id = this.#blocks.find(address);
    const near: Near | undefined =
      id === 0
        ? this.#blocks.near(address)
        : { block: this.#blocks.block(id), place: "inside", distance: 0 };
    this.#reporter.tell({ kind, text, address, stack, near });
  }

  #realloc(
    ptr: number,
    size: number,
    old: number,
    align: number,
    who: number,
    context: number,
  ): number {
    if (size >= 2 ** 32) return 0;
    const stack = this.#stacks.ofContext(context);
    const id = ptr === 0 ? 0 : this.#blocks.find(ptr);
    const good = id !== 0 && this.#blocks.isLive(id);
    if (ptr !== 0 && !good) this.#reallocRefuse(id, ptr, size, who, stack);
    else if (ptr !== 0) this.#freeCheck(id, old, who, stack);
    const moved = this.#alloc(1, size, align, who, context, false);
    if (!good || moved === 0) return moved;
    const both = Math.min(size, this.#blocks.size(id));
    this.#blocks.copy(ptr, moved, both);
    this.#defined?.copy(ptr, moved, both);
    this.#blocks.free(id, who, stack);
    return moved;
  }

  /** The program goes on with a new block, as if it had asked with null. */
  #reallocRefuse(id: number, ptr: number, size: number, who: number, stack: number): void {
    const text = `${this.#who(who)} of ${hex(ptr)} to ${bytesText(size)}`;
    this.#pointerTell(id === 0 ? "invalid-realloc" : "realloc-after-free", text, ptr, stack);
  }

  #posix(out: number, align: number, size: number, who: number, context: number): number {
    const [invalid, noMemory] = [28, 48];
    if (align < 4 || (align & (align - 1)) !== 0) return invalid;
    const ptr = this.#alloc(1, size, align, who, context, false);
    if (ptr === 0) return noMemory;
    this.checkRange(out, 4, true);
    new DataView(this.memory.buffer).setUint32(out, ptr, true);
    return 0;
  }

  #usable(ptr: number): number {
    const id = this.#blocks.find(ptr);
    return id === 0 ? 0 : this.#blocks.size(id);
  }

  /**
   * Checks that the program may touch a range, as hosts do on its behalf: a system call that reads
   * into a buffer which is too short is the program's mistake, and so is one that writes out what
   * the program has not written.
   */
  checkRange(address: number, length: number, write: boolean): void {
    const end = address + length;
    for (let at = address, granule = at - (at % 8); at < end; granule += 8, at = granule) {
      const open = this.#shadow[granule >>> GRANULE_SHIFT] ?? 0;
      const last = Math.min(end, granule + 8) - granule - 1;
      if (open <= OPEN && last < open) continue;
      const bad = open < OPEN ? Math.max(at, granule + open) : at;
      this.#access(bad, (write ? INFO_WRITE : 0) | (length & INFO_SIZE), length);
      return;
    }
    if (write) this.#defined?.define(address, length);
    else this.#definedCheck(address, length);
  }

  #definedCheck(address: number, length: number): void {
    const at = this.#defined?.find(address, length) ?? -1;
    if (at >= 0) this.#undefined(this.#defined?.settle(at, 1) ?? at, HOST_CALL);
  }

  #access(address: number, info: number, length: number): void {
    const write = (info & INFO_WRITE) !== 0;
    const stack = this.#stacks.capture();
    const near = this.#blocks.near(address);
    const kind = this.#accessKind(address, near);
    const text = accessText(write, length, address);
    const mistake = { kind, text, address, stack, near, size: length, write };
    const report = this.#reporter.tell(mistake);
    // Without a check this access would have trapped.
    if (kind === "wild-access" && this.#isOutside(address)) throw new CheckHalt(report);
  }

  /** Values go from place to place, and what was never written is told of once for all of them. */
  #undefined(origin: number, use: number): void {
    const stack = this.#stacks.capture();
    const found = this.#blocks.near(origin);
    const outer = this.#stacks.outermost(stack);
    const key = `${origin} ${found ? found.block.id + found.block.made / 2 ** 32 : outer}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    const text = `${USES[use]} depends on what was never written at ${hex(origin)}`;
    // It was alive when it was read.
    const near = found && { ...found, block: { ...found.block, live: true } };
    const where = this.#isOnStack(origin) ? "it is on the stack" : undefined;
    const kind = "uninitialised-read";
    this.#reporter.tell({ kind, text, address: origin, stack, near, where });
  }

  #accessKind(address: number, near: Near | undefined): Kind {
    if (near?.place === "behind") return "heap-overflow";
    if (near?.place === "before") return "heap-underflow";
    // Alive and still refused: the access begins in the block and ends behind it.
    if (near) return near.block.live ? "heap-overflow" : "use-after-free";
    return address < this.#regions.nullEnd ? "null-access" : "wild-access";
  }

  /** Neither the program's nor the heap's: where the original has no memory. */
  #isOutside(address: number): boolean {
    const { heapStart, shadowStart } = this.instrumented.layout;
    return address < heapStart || address >= shadowStart;
  }

  #who(who: number): string {
    return this.#reporter.who(who);
  }

  #family(who: number): Family {
    return this.#families[who] as Family;
  }

  /** The calls that led to an error which the program has thrown: a trap. */
  stackOf(error: Error): Frame[] {
    return this.#reporter.stackOf(error);
  }

  /** The block at `ptr` is no leak, whatever the scan finds. */
  keep(ptr: number): void {
    this.#kept.push(ptr);
  }

  /**
   * Looks for blocks that nothing points to. With `locals`, the program was ended while functions
   * were running, and their local variables may have held what is not found: such blocks may be
   * lost.
   */
  leaks(locals = false): LeakReports {
    const scan = this.#leakScan();
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

  #leakScan(): LeakScan {
    const { heapStart } = this.instrumented.layout;
    const { stackLow, stackTop } = this.#regions;
    const dead = Math.max(stackLow, Math.min(stackTop, this.#stackPointer()));
    const roots: Range[] = [
      { from: 0, to: stackLow },
      { from: dead, to: Math.min(heapStart, this.#programEnd()) },
    ];
    const globals = Object.values(this.#exports)
      .filter((each) => each instanceof WebAssembly.Global)
      .map((global) => Number(global.value));
    return leaksFind(this.#words, this.#blocks.liveBlocks(), roots, [...globals, ...this.#kept]);
  }

  /** The end of what the program has: behind it the shadow is zero. */
  #programEnd(): number {
    const { layout } = this.instrumented;
    let pages = layout.initialPages;
    const step = PAGE >>> GRANULE_SHIFT;
    while (pages < layout.maximumPages && this.#shadow[pages * step] === OPEN) pages++;
    return pages * PAGE;
  }
}
