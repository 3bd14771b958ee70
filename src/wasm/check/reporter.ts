/**
 * Makes reports of mistakes: once for each place, with stacks resolved, suppressed ones left out.
 */
import { hex } from "../../common/errors.ts";
import type { Block, Near } from "../shadow/blocks.ts";
import type { Frame } from "../symbols/frame.ts";
import { Symbols } from "../symbols/symbols.ts";
import type { Instrumented } from "./instrument.ts";
import { bytesText, type Kind, type Report, type ReportBlock } from "./report.ts";
import { type RawFrame, Stacks } from "./stacks.ts";
import { isSuppressed, type Suppression } from "./suppress.ts";

/** Functions below main: start-up code that tells nobody anything. */
const STARTUP = /^(_start(\.command_export)?|__main_void)$|lang_start|__rust_begin_short/;
const MAIN = /^(main|__main_argc_argv|__original_main)$/;

/** Functions of C's library that touch memory in many places for one call. */
const LIBRARY = /^(mem|str|stp|wmem|wcs)\w+$/;

export interface CheckerOptions {
  /** Called for every mistake when it is seen first, suppressed ones excepted. */
  readonly onReport?: ((report: Report) => void) | undefined;
  /** Throws at the first mistake instead of going on. */
  readonly halt?: boolean | undefined;
  readonly suppressions?: readonly Suppression[] | undefined;
  /** Bytes of freed blocks that are kept from being used again. Default: 16 MiB. */
  readonly quarantine?: number | undefined;
  /** Whether stacks show JavaScript's calls too. Default: true. */
  readonly javascript?: boolean | undefined;
  /** Text of the module's source map, for modules that have one. */
  readonly sourceMap?: string | undefined;
}

/** Thrown into the program: at a mistake with `halt`, and for memory that is not there. */
export class CheckHalt extends Error {
  override readonly name = "CheckHalt";
  readonly report: Report;

  constructor(report: Report) {
    super(`${report.kind}: ${report.text}`);
    this.report = report;
  }
}

/** What is told of a mistake. */
interface Mistake {
  readonly kind: Kind;
  readonly text: string;
  readonly address: number;
  /** A stack of `stacks`. */
  readonly stack: number;
  readonly near?: Near | undefined;
  /** How the address lies, where that is not told by `near`. */
  readonly where?: string | undefined;
  readonly size?: number;
  readonly write?: boolean;
}

export class Reporter {
  /** All mistakes so far, suppressed ones excepted. */
  readonly reports: Report[] = [];
  readonly stacks = new Stacks();
  readonly #instrumented: Instrumented;
  readonly #options: CheckerOptions;
  readonly #seen = new Map<string, Report>();
  #symbols: Symbols | undefined;

  constructor(instrumented: Instrumented, options: CheckerOptions) {
    this.#instrumented = instrumented;
    this.#options = options;
  }

  /** Reports a mistake, unless its place is known; answers the report. Throws with `halt`. */
  tell(mistake: Mistake): Report {
    const { kind, text, address, stack, near, size = 0, write = false } = mistake;
    const frames = this.stacks.frames(stack);
    const key = `${kind} ${this.#placeOf(frames)}`;
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

  /** The function that a block comes from or was freed by, by its number. */
  who(who: number): string {
    return this.#instrumented.functions[who]?.role.name ?? "the program";
  }

  /** What makes two mistakes the same: where they happen, and in memcpy and its kin who calls. */
  #placeOf(frames: readonly RawFrame[]): string {
    const old = (frame: RawFrame) =>
      "js" in frame ? frame.js : this.#instrumented.originalFunction(frame.index);
    const own = frames.filter((frame) => old(frame) !== undefined).slice(0, 4);
    const places = own.map((frame) => ("js" in frame ? frame.js : `${frame.offset}`));
    const inner = own[0] && old(own[0]);
    if (typeof inner !== "number" || !LIBRARY.test(this.#names().name(inner))) return places.join();
    return [inner, ...places.slice(1)].join();
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
      allocatedBy: this.who(block.maker),
      allocated: this.#resolve(this.stacks.frames(block.made), true),
      ...(block.live
        ? {}
        : {
            freedBy: this.who(block.ender),
            freed: this.#resolve(this.stacks.frames(block.ended), true),
          }),
    };
  }

  /** Frames as a user knows them; `hook` drops the allocator's function, which has been named. */
  #resolve(frames: readonly RawFrame[], hook = false): Frame[] {
    const instrumented = this.#instrumented;
    const symbols = this.#names();
    const resolved: Frame[] = [];
    for (const frame of frames) {
      if ("js" in frame) {
        if (this.#options.javascript !== false) resolved.push({ function: frame.js });
        continue;
      }
      const old = instrumented.originalFunction(frame.index);
      if (old === undefined || (hook && this.#isAllocator(old))) continue;
      if (this.#isAllocator(old)) resolved.push({ function: symbols.name(old) });
      else {
        const offset = instrumented.offsets.old(frame.offset) ?? 0;
        resolved.push(...symbols.frames(old, offset));
      }
    }
    const main = resolved.findIndex((frame) => MAIN.test(frame.function));
    const ends = main < 0 ? resolved : resolved.slice(0, main + 1);
    return ends.filter((frame) => !STARTUP.test(frame.function));
  }

  /** The calls that led to an error which the program has thrown: a trap. */
  stackOf(error: Error): Frame[] {
    return this.#resolve(this.stacks.framesOf(error));
  }

  #isAllocator(old: number): boolean {
    return this.#instrumented.functions.some((each) => each.index === old);
  }

  /** One report for each place that has allocated some of the blocks, the largest first. */
  leaks(kind: Kind, blocks: readonly Block[]): Report[] {
    const byPlace = new Map<string, Block[]>();
    for (const block of blocks) {
      const place = JSON.stringify(this.#resolve(this.stacks.frames(block.made), true));
      const same = byPlace.get(place);
      if (same) same.push(block);
      else byPlace.set(place, [block]);
    }
    const sum = (list: readonly Block[]) => list.reduce((total, block) => total + block.size, 0);
    const reports = [...byPlace.values()]
      .sort((a, b) => sum(b) - sum(a))
      .map((list) => {
        const [first] = list as [Block];
        const count = list.length === 1 ? "1 block" : `${list.length} blocks`;
        const by = this.who(first.maker);
        return {
          ...{ kind, address: first.ptr, size: sum(list), write: false, count: list.length },
          text: `${bytesText(sum(list))} in ${count}, allocated by ${by}`,
          stack: this.#resolve(this.stacks.frames(first.made), true),
          block: this.#blockReport(first),
        };
      });
    const suppressions = this.#options.suppressions ?? [];
    return reports.filter((report) => !isSuppressed(suppressions, report));
  }
}

/** "0 bytes behind a block of 20 bytes at 0x20000020". */
function whereText({ block, place, distance }: Near, kind: Kind): string {
  const freed = block.live ? "" : "freed ";
  const what = `a ${freed}block of ${bytesText(block.size)} at ${hex(block.ptr)}`;
  if (place === "before") return `${bytesText(distance)} before ${what}`;
  if (place === "behind") return `${bytesText(distance)} behind the end of ${what}`;
  if (kind === "heap-overflow") return `begins ${bytesText(distance)} into ${what}, ends behind it`;
  return distance === 0 ? `it is ${what}` : `${bytesText(distance)} into ${what}`;
}
