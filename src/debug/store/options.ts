/** The options of debug: one table that checks them and makes the one in docs/debugging.md. */
import { wrongKind } from "../../common/errors.ts";
import { type OptionRow, optionsCheck, optionsMarkdown } from "../../common/option-table.ts";
import { nodeModule } from "../report/node.ts";
import type { ReportSink } from "../report/report.ts";
import type { BackingAllocator } from "./backing.ts";

export interface DebugOptions {
  stackTraceFrames?: number | undefined;
  enableMemoryLimit?: boolean | undefined;
  requestedMemoryLimit?: number | undefined;
  safety?: boolean | undefined;
  threadSafe?: boolean | undefined;
  neverUnmap?: boolean | undefined;
  retainMetadata?: boolean | undefined;
  verboseLog?: boolean | ((line: string) => void) | undefined;
  resizeStackTraces?: boolean | undefined;
  canary?: number | undefined;
  pageSize?: number | undefined;
  backingAllocator?: BackingAllocator | undefined;
  quarantine?: number | undefined;
  onReport?: ReportSink | undefined;
  reportAtExit?: boolean | undefined;
  sampleEvery?: number | undefined;
  seed?: number | undefined;
  threadId?: (() => number) | undefined;
  threadState?: Int32Array | undefined;
}

/** Every option with its value, but the backing allocator. */
export type Settings = Readonly<
  Required<{
    [K in Exclude<keyof DebugOptions, "backingAllocator" | "threadState" | "verboseLog">]: Exclude<
      DebugOptions[K],
      undefined
    >;
  }>
> & {
  readonly threadState: Int32Array | undefined;
  readonly log: ((line: string) => void) | undefined;
};

const FRAMES_LIMIT = 64;
const WORD_LIMIT = 0xffffffff;

/** Every option of debug. */
export const debugOptions: OptionRow[] = [
  {
    name: "stackTraceFrames",
    type: "number",
    default: "8",
    text: "Frames of each stack, 0 to 64. 0 takes no stacks: a call is ten times faster then.",
    refuse: (value) => wrongWhole("stackTraceFrames", value, 0, FRAMES_LIMIT),
  },
  {
    name: "enableMemoryLimit",
    type: "boolean",
    default: "false",
    text: "Refuses and reports requests beyond `requestedMemoryLimit`.",
    refuse: (value) => wrongFlag("enableMemoryLimit", value),
  },
  {
    name: "requestedMemoryLimit",
    type: "number",
    default: "none",
    text: "The most bytes that live blocks may have been asked for with, all together.",
    refuse: (value) => wrongWhole("requestedMemoryLimit", value, 0, Number.MAX_SAFE_INTEGER),
  },
  {
    name: "safety",
    type: "boolean",
    default: "true",
    text: "Writes and looks at canaries and poison. Without it, stray writes go unseen.",
    refuse: (value) => wrongFlag("safety", value),
  },
  {
    name: "threadSafe",
    type: "boolean",
    default: "false",
    text: "For a heap that threads share. Else it is one thread's, and says who else uses it.",
    refuse: (value) => wrongFlag("threadSafe", value),
  },
  {
    name: "neverUnmap",
    type: "boolean",
    default: "false",
    text: "Keeps freed memory, closed or poisoned, until memory is out: see below.",
    refuse: (value) => wrongFlag("neverUnmap", value),
  },
  {
    name: "retainMetadata",
    type: "boolean",
    default: "false",
    text: "Keeps sizes and stacks of memory that was given back, so that a double free is known.",
    refuse: (value) => wrongFlag("retainMetadata", value),
  },
  {
    name: "verboseLog",
    type: "boolean | (line) => void",
    default: "false",
    text: "A line for each call, on stderr or to a function.",
    refuse: (value) =>
      typeof value === "function" ? undefined : wrongFlag("verboseLog", value, " or a function"),
  },
  {
    name: "resizeStackTraces",
    type: "boolean",
    default: "false",
    text: "Keeps the stack of the first allocation over reallocs, and that of the last realloc.",
    refuse: (value) => wrongFlag("resizeStackTraces", value),
  },
  {
    name: "canary",
    type: "number",
    default: "0x85dff10f",
    text: "The 32-bit word that fills the zones around blocks.",
    refuse: (value) => wrongWhole("canary", value, 0, WORD_LIMIT),
  },
  {
    name: "pageSize",
    type: "number",
    default: "16384; 65536 over a memory",
    text: "Bytes of a page of small blocks: a power of two from 4096 to 1048576.",
    refuse: (value) => wrongPageSize(value),
  },
  {
    name: "backingAllocator",
    type: "allocator, Pool or MemorySource",
    default: "the first argument, or a new memory",
    text: "What it stands on: anything with C's verbs, a pool of layers, or memory in whole pages.",
    refuse: () => undefined, // backingOf looks at it, wherever it comes from
  },
  {
    name: "quarantine",
    type: "number",
    default: "1 MiB; 128 KiB when sampling",
    text: "Bytes of freed memory that are held back and watched before they are given back.",
    refuse: (value) => wrongWhole("quarantine", value, 0, WORD_LIMIT),
  },
  {
    name: "onReport",
    type: '"print" | "throw" | (report) => void',
    default: '"print"',
    text: "What becomes of a report: text on stderr, a MemoryMistake, or a call of yours.",
    refuse: (value) => wrongSink(value),
  },
  {
    name: "reportAtExit",
    type: "boolean",
    default: "true",
    text: "In Node, looks for leaks when the process exits. Holds the allocator until `deinit`.",
    refuse: (value) => wrongFlag("reportAtExit", value),
  },
  {
    name: "sampleEvery",
    type: "number",
    default: "1",
    text: "Guards one allocation in so many, at random; the others go straight to what is below.",
    refuse: (value) => wrongWhole("sampleEvery", value, 1, 2 ** 30),
  },
  {
    name: "seed",
    type: "number",
    default: "random",
    text: "Makes the same choice of samples every time.",
    refuse: (value) => wrongWhole("seed", value, 0, WORD_LIMIT),
  },
  {
    name: "threadId",
    type: "() => number",
    default: "the Worker's threadId",
    text: "Who is calling, as a whole number.",
    refuse: (value) =>
      typeof value === "function" ? undefined : wrongKind("threadId", "a function", value),
  },
  {
    name: "threadState",
    type: "Int32Array",
    default: "none",
    text: "A word of shared memory, at first 0, that goes with a memory which threads pass around.",
    refuse: (value) =>
      value instanceof Int32Array && value.length > 0
        ? undefined
        : wrongKind("threadState", "an Int32Array with a word", value),
  },
];

/** @throws TypeError or RangeError for what the table refuses, and for options that clash. */
export function settingsOf(options: DebugOptions, pageSize: number): Settings {
  optionsCheck(debugOptions, options);
  const settings = settingsFill(options, pageSize);
  if (settings.sampleEvery > 1 && settings.enableMemoryLimit) {
    throw new TypeError("enableMemoryLimit needs every allocation to be guarded, not a sample");
  }
  if (settings.threadSafe && settings.threadState) {
    throw new TypeError("threadState is for an allocator of one thread: threadSafe needs none");
  }
  return settings;
}

function settingsFill(options: DebugOptions, pageSize: number): Settings {
  const { verboseLog, sampleEvery = 1 } = options;
  const sampling = sampleEvery > 1;
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return {
    stackTraceFrames: 8,
    enableMemoryLimit: false,
    requestedMemoryLimit: Number.POSITIVE_INFINITY,
    safety: true,
    threadSafe: false,
    neverUnmap: false,
    retainMetadata: false,
    resizeStackTraces: false,
    canary: 0x85dff10f,
    pageSize,
    quarantine: sampling ? 2 ** 17 : 2 ** 20,
    onReport: "print",
    reportAtExit: true,
    sampleEvery: 1,
    seed: Math.floor(Math.random() * 2 ** 32),
    threadId: ownThreadId,
    threadState: undefined,
    log: typeof verboseLog === "function" ? verboseLog : verboseLog ? logPrint : undefined,
    ...Object.fromEntries(given),
  };
}

function logPrint(line: string): void {
  console.error(line);
}

const ownThread = nodeModule("node:worker_threads")?.threadId ?? 0;

/** A Worker's number in Node; in a browser 0, where each Worker must say who it is. */
export function ownThreadId(): number {
  return ownThread;
}

/** The table as it stands in docs/debugging.md. */
export function debugOptionsMarkdown(): string {
  return optionsMarkdown(debugOptions);
}

export function wrongWhole(
  name: string,
  value: unknown,
  from: number,
  to: number,
): Error | undefined {
  if (typeof value !== "number") return wrongKind(name, "a number", value);
  if (Number.isInteger(value) && value >= from && value <= to) return undefined;
  return new RangeError(`${name} must be a whole number from ${from} to ${to}, not ${value}`);
}

export function wrongFlag(name: string, value: unknown, or = ""): Error | undefined {
  return typeof value === "boolean" ? undefined : wrongKind(name, `true or false${or}`, value);
}

function wrongPageSize(value: unknown): Error | undefined {
  const wrong = wrongWhole("pageSize", value, 4096, 2 ** 20);
  if (wrong || Number.isInteger(Math.log2(value as number))) return wrong;
  return new RangeError(`pageSize must be a power of two, not ${value}`);
}

export function wrongSink(value: unknown): Error | undefined {
  if (typeof value === "function" || value === "print" || value === "throw") return undefined;
  if (typeof value !== "string") {
    return wrongKind("onReport", '"print", "throw" or a function', value);
  }
  return new RangeError(`onReport must be "print", "throw" or a function, not "${value}"`);
}
