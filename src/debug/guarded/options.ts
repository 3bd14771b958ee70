/** The options of `guarded`: their values with defaults, and the table that checks them. */
import { wrongKind } from "../../common/errors.ts";
import { type OptionRow, optionsCheck, optionsMarkdown } from "../../common/option-table.ts";
import type { MemorySource } from "../../memory/index.ts";
import type { ReportSink } from "../report/report.ts";
import { flagError, sinkError, wholeError } from "../store/option-errors.ts";

/**
 * The options of `guarded`. All are optional, and `undefined` counts as absent. Sizes are in bytes.
 *
 * @example
 * const heap = guarded(createHeap({ release: withOsPages }), { every: 100, slots: 256 });
 */
export interface GuardedOptions {
  /** Guards one allocation in so many, at random; 1 guards all. 1 to 2^30. Default: 1000. */
  every?: number | undefined;
  /**
   * The most blocks that are guarded in a second, which bounds the cost; 0 = no limit. 0 to 10^6.
   * Default: 200, or no limit if `every` is 1.
   */
  mostPerSecond?: number | undefined;
  /**
   * Makes the same choice every time, as far as `mostPerSecond` allows; 0 to 2^32 - 1. Default:
   * random.
   */
  seed?: number | undefined;
  /**
   * The most guarded blocks at a time, live or freed, from 1 to 65536. Each takes a slot and a
   * guard page. Default: 64.
   */
  slots?: number | undefined;
  /**
   * The largest block that is guarded, from 1 to 2^20, rounded up to whole pages. Default: a page.
   */
  slotBytes?: number | undefined;
  /** Which end of a block touches a guard; `"both"` alternates. Default: `"both"`. */
  place?: "end" | "start" | "both" | undefined;
  /**
   * Lets a block end exactly at its guard, whatever its size: its address may be odd then. Without
   * it blocks are aligned to 16, and up to 15 bytes before the guard are only checked when the
   * block is freed. Default: false.
   */
  exact?: boolean | undefined;
  /**
   * Installs a signal handler (Linux on x86-64 and arm64) that records the address of an access to
   * a guard, and lets accesses of JavaScript continue. Default: false.
   */
  faults?: boolean | undefined;
  /** Frames of each stack, 0 to 64. Default: 8. */
  stackTraceFrames?: number | undefined;
  /**
   * What happens to a mistake that `free` or `check` finds: `"print"` writes text to stderr,
   * `"throw"` throws a MemoryMistake, a function is called with the report. Default: `"print"`.
   */
  onReport?: ReportSink | undefined;
  /** The memory that the blocks lie in, for an allocator without a `source`. */
  source?: MemorySource | undefined;
}

/** The values of all options but the source. */
export type GuardedSettings = Required<{
  [K in Exclude<keyof GuardedOptions, "source">]: Exclude<GuardedOptions[K], undefined>;
}>;

/** A guarded block costs two system calls, a page fault and two stacks: 10 to 75 microseconds. */
const MOST_PER_SECOND = 200;
const SLOT_LIMIT = 2 ** 20;

/** All options of guarded. */
export const guardedOptions: OptionRow[] = [
  {
    name: "every",
    type: "number",
    default: "1000",
    text: "Guards one allocation in so many, at random; 1 guards all that find a free slot.",
    refuse: (value) => wholeError("every", value, 1, 2 ** 30),
  },
  {
    name: "mostPerSecond",
    type: "number",
    default: "200; none if `every` is 1",
    text: "The most blocks that are guarded in a second, which bounds the cost. 0 = no limit.",
    refuse: (value) => wholeError("mostPerSecond", value, 0, 1e6),
  },
  {
    name: "seed",
    type: "number",
    default: "random",
    text: "Makes the same choice every time, as far as `mostPerSecond` allows.",
    refuse: (value) => wholeError("seed", value, 0, 0xffffffff),
  },
  {
    name: "slots",
    type: "number",
    default: "64",
    text: "The most guarded blocks at a time, live or freed; each takes a slot and a guard page.",
    refuse: (value) => wholeError("slots", value, 1, 65536),
  },
  {
    name: "slotBytes",
    type: "number",
    default: "a page",
    text: "The largest block that is guarded, rounded up to whole pages.",
    refuse: (value) => wholeError("slotBytes", value, 1, SLOT_LIMIT),
  },
  {
    name: "place",
    type: '"end" | "start" | "both"',
    default: '"both"',
    text: "Which end of a block touches a guard; `both` alternates.",
    refuse: (value) => placeError(value),
  },
  {
    name: "exact",
    type: "boolean",
    default: "false",
    text: "Lets a block end exactly at its guard, whatever its size; it may be aligned to 1 then.",
    refuse: (value) => flagError("exact", value),
  },
  {
    name: "faults",
    type: "boolean",
    default: "false",
    text: "Installs a signal handler that records addresses; accesses of JavaScript continue.",
    refuse: (value) => flagError("faults", value),
  },
  {
    name: "stackTraceFrames",
    type: "number",
    default: "8",
    text: "Frames of each stack, 0 to 64.",
    refuse: (value) => wholeError("stackTraceFrames", value, 0, 64),
  },
  {
    name: "onReport",
    type: '"print" | "throw" | (report) => void',
    default: '"print"',
    text: "What happens to mistakes that free and check find.",
    refuse: (value) => sinkError(value),
  },
  {
    name: "source",
    type: "MemorySource",
    default: "the heap's",
    text: "The memory that the blocks lie in, for an allocator without a `source`.",
    refuse: (value) =>
      typeof value === "object" && value !== null && "grow" in value
        ? undefined
        : wrongKind("source", "a memory source", value),
  },
];

/** @throws TypeError or RangeError for wrong options. */
export function guardedSettings(options: GuardedOptions): GuardedSettings {
  optionsCheck(guardedOptions, options);
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return {
    every: 1000,
    mostPerSecond: options.every === 1 ? 0 : MOST_PER_SECOND,
    seed: Math.floor(Math.random() * 2 ** 32),
    slots: 64,
    slotBytes: 1,
    place: "both",
    exact: false,
    faults: false,
    stackTraceFrames: 8,
    onReport: "print",
    ...Object.fromEntries(given),
  };
}

/** The table as it stands in docs/guide/guarded.md. */
export function guardedOptionsMarkdown(): string {
  return optionsMarkdown(guardedOptions);
}

function placeError(value: unknown): Error | undefined {
  if (value === "end" || value === "start" || value === "both") return undefined;
  if (typeof value !== "string") return wrongKind("place", '"end", "start" or "both"', value);
  return new RangeError(`place must be "end", "start" or "both", not "${value}"`);
}
