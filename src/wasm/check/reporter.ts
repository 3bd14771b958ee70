/**
 * Makes reports of mistakes: one for each call site, with resolved stacks, without those that are
 * suppressed.
 */
import { hex } from "../../common/errors.ts";
import type { Block, Near } from "../shadow/block-table.ts";
import type { Frame } from "../symbols/frame.ts";
import { Symbols } from "../symbols/symbols.ts";
import type { Instrumented } from "./instrument.ts";
import { bytesText, type Kind, type Report, type ReportBlock } from "./report.ts";
import { type RawFrame, Stacks } from "./stacks.ts";
import { isSuppressed, type Suppression } from "./suppress.ts";

/** Functions that call main: start-up code, which reports leave out. */
const STARTUP = /^(_start(\.command_export)?|__main_void)$|lang_start|__rust_begin_short/;
const MAIN = /^(main|__main_argc_argv|__original_main)$/;

/** Functions of C's library: one call of them makes many accesses. */
const LIBRARY = /^(mem|str|stp|wmem|wcs)\w+$/;

/** Functions of C's library whose blocks live as long as the process. */
const RUNTIME = /^(__cxa_atexit|__cxa_thread_atexit(_impl)?|atexit|at_quick_exit)$/;

/** Options of `Checker`. */
export interface CheckerOptions {
  /**
   * Called when a mistake is made for the first time, unless it is suppressed. An exception from it
   * goes through the program.
   */
  readonly onReport?: ((report: Report) => void) | undefined;
  /** Throws a `CheckHalt` into the program at the first mistake. Default: false. */
  readonly halt?: boolean | undefined;
  /** Mistakes that are not to be reported. Default: none. */
  readonly suppressions?: readonly Suppression[] | undefined;
  /** The most bytes of freed blocks that are not used again. Default: 16 MiB. */
  readonly quarantine?: number | undefined;
  /** Whether stacks show calls in JavaScript. Default: true. */
  readonly javascript?: boolean | undefined;
  /** The text of the module's source map, if it has one. */
  readonly sourceMap?: string | undefined;
}

/** Thrown into the program: at a mistake with `halt`, and at an access outside its memory. */
export class CheckHalt extends Error {
  /** The name of the class, as errors print it. */
  override readonly name = "CheckHalt";
  /** The mistake. */
  readonly report: Report;

  /** @param report the mistake. */
  constructor(report: Report) {
    super(`${report.kind}: ${report.text}`);
    this.report = report;
  }
}

/** What the checker knows of a mistake. */
interface Mistake {
  readonly kind: Kind;
  readonly text: string;
  readonly address: number;
  /** The number of a stack of `stacks`. */
  readonly stack: number;
  readonly near?: Near | undefined;
  /** Where the address is, if `near` does not tell. */
  readonly where?: string | undefined;
  readonly size?: number;
  readonly write?: boolean;
}

export class Reporter {
  /** All mistakes so far, without those that are suppressed. */
  readonly reports: Report[] = [];
  readonly stacks = new Stacks();
  readonly #instrumented: Instrumented;
  readonly #options: CheckerOptions;
  readonly #seen = new Map<string, Report>();
  /** By stack: whether its innermost function is one of RUNTIME. */
  readonly #ofRuntime = new Map<number, boolean>();
  #symbols: Symbols | undefined;

  constructor(instrumented: Instrumented, options: CheckerOptions) {
    this.#instrumented = instrumented;
    this.#options = options;
  }

  /**
   * Reports a mistake, unless it was made before at this call site; returns the report.
   *
   * @throws CheckHalt with the option `halt`.
   */
  report(mistake: Mistake): Report {
    const { kind, text, address, stack, near, size = 0, write = false } = mistake;
    const frames = this.stacks.frames(stack);
    const key = `${kind} ${this.#callSiteOf(frames)}`;
    const known = this.#seen.get(key);
    if (known) known.count++;
    if (known) return known;
    const report: Report = {
      ...{ kind, text, address, size, write, count: 1 },
      stack: this.#resolve(frames),
      block: near && this.#blockReport(near.block),
      where: mistake.where ?? (near && whereText(near, kind)),
    };
    this.#seen.set(key, report);
    if (isSuppressed(this.#options.suppressions ?? [], report)) return report;
    this.reports.push(report);
    this.#options.onReport?.(report);
    if (this.#options.halt) throw new CheckHalt(report);
    return report;
  }

  /** The name of an allocator function by its number. */
  nameOf(caller: number): string {
    return this.#instrumented.functions[caller]?.role.name ?? "the program";
  }

  /** Where a mistake is made: the innermost calls; of memcpy and the like, their callers. */
  #callSiteOf(frames: readonly RawFrame[]): string {
    const old = (frame: RawFrame) =>
      "js" in frame ? frame.js : this.#instrumented.originalFunction(frame.index);
    const own = frames.filter((frame) => old(frame) !== undefined).slice(0, 4);
    const sites = own.map((frame) => ("js" in frame ? frame.js : `${frame.offset}`));
    const inner = own[0] && old(own[0]);
    if (typeof inner !== "number" || !LIBRARY.test(this.#names().name(inner))) return sites.join();
    return [inner, ...sites.slice(1)].join();
  }

  #names(): Symbols {
    this.#symbols ??= new Symbols(this.#instrumented.module, this.#options.sourceMap);
    return this.#symbols;
  }

  #blockReport(block: Block): ReportBlock {
    return {
      address: block.ptr,
      size: block.size,
      live: block.live,
      allocatedBy: this.nameOf(block.allocator),
      allocated: this.#resolve(this.stacks.frames(block.allocated), true),
      ...(block.live
        ? {}
        : {
            freedBy: this.nameOf(block.freer),
            freed: this.#resolve(this.stacks.frames(block.freed), true),
          }),
    };
  }

  /** Frames of the original module; `isNamed` leaves out the allocator's function. */
  #resolve(frames: readonly RawFrame[], isNamed = false): Frame[] {
    const instrumented = this.#instrumented;
    const symbols = this.#names();
    const resolved: Frame[] = [];
    for (const frame of frames) {
      if ("js" in frame) {
        if (this.#options.javascript !== false) resolved.push({ function: frame.js });
        continue;
      }
      const old = instrumented.originalFunction(frame.index);
      if (old === undefined || (isNamed && this.#isAllocator(old))) continue;
      if (this.#isAllocator(old)) resolved.push({ function: symbols.name(old) });
      else {
        const offset = instrumented.offsets.toOriginal(frame.offset) ?? 0;
        resolved.push(...symbols.frames(old, offset));
      }
    }
    const main = resolved.findIndex((frame) => MAIN.test(frame.function));
    const ends = main < 0 ? resolved : resolved.slice(0, main + 1);
    return ends.filter((frame) => !STARTUP.test(frame.function));
  }

  /** The calls that led to an error that the program has thrown. */
  stackOf(error: Error): Frame[] {
    return this.#resolve(this.stacks.framesOf(error));
  }

  /**
   * Whether C's library keeps this block until the process ends: the list of functions that exit
   * calls is lost while exit walks it.
   */
  isOfRuntime({ allocated }: Block): boolean {
    const known = this.#ofRuntime.get(allocated);
    if (known !== undefined) return known;
    const [caller] = this.#resolve(this.stacks.frames(allocated), true);
    const isOf = RUNTIME.test(caller?.function ?? "");
    this.#ofRuntime.set(allocated, isOf);
    return isOf;
  }

  /** The innermost position of such an error in the original file. */
  offsetOf(error: Error): number | undefined {
    for (const frame of this.stacks.framesOf(error)) {
      if ("js" in frame || this.#instrumented.originalFunction(frame.index) === undefined) continue;
      return this.#instrumented.offsets.toOriginal(frame.offset);
    }
    return undefined;
  }

  #isAllocator(old: number): boolean {
    return this.#instrumented.functions.some((each) => each.index === old);
  }

  /** One report for each call site that has allocated some of the blocks, the largest first. */
  leaks(kind: Kind, blocks: readonly Block[]): Report[] {
    const bySite = new Map<string, Block[]>();
    for (const block of blocks) {
      const site = JSON.stringify(this.#resolve(this.stacks.frames(block.allocated), true));
      const same = bySite.get(site);
      if (same) same.push(block);
      else bySite.set(site, [block]);
    }
    const sum = (list: readonly Block[]) => list.reduce((total, block) => total + block.size, 0);
    const reports = [...bySite.values()]
      .sort((a, b) => sum(b) - sum(a))
      .map((list) => {
        const [first] = list as [Block];
        const count = list.length === 1 ? "1 block" : `${list.length} blocks`;
        const by = this.nameOf(first.allocator);
        return {
          ...{ kind, address: first.ptr, size: sum(list), write: false, count: list.length },
          text: `${bytesText(sum(list))} in ${count}, allocated by ${by}`,
          stack: this.#resolve(this.stacks.frames(first.allocated), true),
          block: this.#blockReport(first),
        };
      });
    const suppressions = this.#options.suppressions ?? [];
    return reports.filter((report) => !isSuppressed(suppressions, report));
  }
}

/** Where an address is: "0 bytes behind the end of a block of 20 bytes at 0x20000020". */
function whereText({ block, side, distance }: Near, kind: Kind): string {
  const freed = block.live ? "" : "freed ";
  const what = `a ${freed}block of ${bytesText(block.size)} at ${hex(block.ptr)}`;
  if (side === "before") return `${bytesText(distance)} before ${what}`;
  if (side === "behind") return `${bytesText(distance)} behind the end of ${what}`;
  if (kind === "heap-overflow") return `begins ${bytesText(distance)} into ${what}, ends behind it`;
  return distance === 0 ? `it is ${what}` : `${bytesText(distance)} into ${what}`;
}
