/** The options of guarded: one table that checks them and makes the one in docs/guarded.md. */
import { wrongKind } from "../../common/errors.ts";
import { type OptionRow, optionsCheck, optionsMarkdown } from "../../common/option-table.ts";
import type { MemorySource } from "../../memory/index.ts";
import type { ReportSink } from "../report/report.ts";
import { wrongFlag, wrongSink, wrongWhole } from "../store/options.ts";

export interface GuardedOptions {
  every?: number | undefined;
  mostPerSecond?: number | undefined;
  seed?: number | undefined;
  slots?: number | undefined;
  slotBytes?: number | undefined;
  place?: "end" | "start" | "both" | undefined;
  exact?: boolean | undefined;
  faults?: boolean | undefined;
  stackTraceFrames?: number | undefined;
  onReport?: ReportSink | undefined;
  source?: MemorySource | undefined;
}

/** Every option with its value, but the source. */
export type GuardedSettings = Required<{
  [K in Exclude<keyof GuardedOptions, "source">]: Exclude<GuardedOptions[K], undefined>;
}>;

/** A guarded block costs two system calls, a page fault and two stacks: 10 to 75 microseconds. */
const MOST_PER_SECOND = 200;
const SLOT_LIMIT = 2 ** 20;

/** Every option of guarded. */
export const guardedOptions: OptionRow[] = [
  {
    name: "every",
    type: "number",
    default: "1000",
    text: "Guards one allocation in so many, at random; 1 guards all that find a slot.",
    refuse: (value) => wrongWhole("every", value, 1, 2 ** 30),
  },
  {
    name: "mostPerSecond",
    type: "number",
    default: "200; none if `every` is 1",
    text: "Lets turns go by that come too soon after another: a bound on the cost. 0 = no limit.",
    refuse: (value) => wrongWhole("mostPerSecond", value, 0, 1e6),
  },
  {
    name: "seed",
    type: "number",
    default: "random",
    text: "Makes the same choice every time, as far as `mostPerSecond` lets it.",
    refuse: (value) => wrongWhole("seed", value, 0, 0xffffffff),
  },
  {
    name: "slots",
    type: "number",
    default: "64",
    text: "The most blocks that are guarded at a time, live or freed; each takes a page more.",
    refuse: (value) => wrongWhole("slots", value, 1, 65536),
  },
  {
    name: "slotBytes",
    type: "number",
    default: "a page",
    text: "The largest block that is guarded, rounded up to pages; larger ones go by.",
    refuse: (value) => wrongWhole("slotBytes", value, 1, SLOT_LIMIT),
  },
  {
    name: "place",
    type: '"end" | "start" | "both"',
    default: '"both"',
    text: "Which end of a block touches a guard; `both`: one block's end, the next one's start.",
    refuse: (value) => wrongPlace(value),
  },
  {
    name: "exact",
    type: "boolean",
    default: "false",
    text: "Lets a block end exactly at its guard, whatever its size: then it may be aligned to 1.",
    refuse: (value) => wrongFlag("exact", value),
  },
  {
    name: "faults",
    type: "boolean",
    default: "false",
    text: "Installs a signal handler that knows addresses, and lets JavaScript's accesses go on.",
    refuse: (value) => wrongFlag("faults", value),
  },
  {
    name: "stackTraceFrames",
    type: "number",
    default: "8",
    text: "Frames of each stack, 0 to 64.",
    refuse: (value) => wrongWhole("stackTraceFrames", value, 0, 64),
  },
  {
    name: "onReport",
    type: '"print" | "throw" | (report) => void',
    default: '"print"',
    text: "What becomes of mistakes that free and check find.",
    refuse: (value) => wrongSink(value),
  },
  {
    name: "source",
    type: "MemorySource",
    default: "the heap's",
    text: "The memory that blocks lie in, for an allocator that does not tell.",
    refuse: (value) =>
      typeof value === "object" && value !== null && "grow" in value
        ? undefined
        : wrongKind("source", "a memory source", value),
  },
];

/** @throws TypeError or RangeError for what the table refuses. */
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

/** The table as it stands in docs/guarded.md. */
export function guardedOptionsMarkdown(): string {
  return optionsMarkdown(guardedOptions);
}

function wrongPlace(value: unknown): Error | undefined {
  if (value === "end" || value === "start" || value === "both") return undefined;
  if (typeof value !== "string") return wrongKind("place", '"end", "start" or "both"', value);
  return new RangeError(`place must be "end", "start" or "both", not "${value}"`);
}
