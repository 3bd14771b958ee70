/** The options of `debug`, and their values with defaults. */
import { optionsCheck } from "../../common/option-table.ts";
import { nodeModule, nodeProcess } from "../report/node.ts";
import type { ReportSink } from "../report/report.ts";
import type { BackingAllocator } from "./allocator-like.ts";
import { allDetectors, type Detectors } from "./detectors.ts";
import { exitCodeError } from "./option-errors.ts";
import { debugOptions } from "./option-rows.ts";

/**
 * The options of `debug`. All are optional, and `undefined` counts as absent. Sizes are in bytes.
 *
 * @example
 * const heap = debug(createHeap(), { stackTraceFrames: 16, onReport: "throw" });
 */
export interface DebugOptions {
  /**
   * Frames of each stack, 0 to 64. 0 takes no stacks, which makes a call ten times faster. Default:
   * 8.
   */
  stackTraceFrames?: number | undefined;
  /** Refuses requests beyond `requestedMemoryLimit`, and reports them. Default: false. */
  enableMemoryLimit?: boolean | undefined;
  /**
   * The most bytes that all live blocks together may have requested, from 0 to 2^53 - 1. Has an
   * effect only with `enableMemoryLimit`. Default: no limit.
   */
  requestedMemoryLimit?: number | undefined;
  /**
   * Writes canaries around blocks and poison into freed ones, and checks them. Without it stray
   * writes are not found. Default: true.
   */
  safety?: boolean | undefined;
  /**
   * For a heap that threads share: any thread frees and resizes any block. Without it the allocator
   * belongs to one thread, and `threadId` or `threadState` let it report use by others. Default:
   * false.
   */
  threadSafe?: boolean | undefined;
  /**
   * Keeps freed memory, protected where pages can be, else poisoned, until memory is out. An access
   * of JavaScript to a protected page ends the process. Default: false.
   */
  neverUnmap?: boolean | undefined;
  /**
   * Keeps sizes and stacks of memory that was given back, so that a double free of it is found.
   * Grows with every block; `flushRetainedMetadata` drops it. Default: false.
   */
  retainMetadata?: boolean | undefined;
  /** Writes a line for each call: to stderr if true, else to the function. Default: false. */
  verboseLog?: boolean | ((line: string) => void) | undefined;
  /**
   * Keeps the stack of the first allocation across reallocs, and that of the last realloc. Without
   * it a block that moves has the stack of the realloc as its allocation. Default: false.
   */
  resizeStackTraces?: boolean | undefined;
  /** The 32-bit word that fills the zones around blocks. Default: 0x85dff10f. */
  canary?: number | undefined;
  /**
   * Bytes of a page of small blocks: a power of two from 4096 to 1048576. Pages of the system below
   * are the least. Default: 16384, or 65536 over a memory.
   */
  pageSize?: number | undefined;
  /**
   * What the allocator stands on, instead of the first argument of `debug`: an allocator with C's
   * calls, a pool of layers, or a memory. Default: a new memory.
   */
  backingAllocator?: BackingAllocator | undefined;
  /**
   * Bytes of freed memory that are held back and checked before they are given back, from 0 to
   * 2^32 - 1. Default: 1 MiB, or 128 KiB when sampling.
   */
  quarantine?: number | undefined;
  /**
   * What happens to a report: `"print"` writes text to stderr, `"throw"` throws a MemoryMistake, a
   * function is called with it. Default: `"print"`.
   */
  onReport?: ReportSink | undefined;
  /**
   * In Node, looks for leaks when the process exits. An allocator that has had blocks is not
   * collected as garbage before it ends. Default: true.
   */
  reportAtExit?: boolean | undefined;
  /**
   * In Node, the exit code of a process in which a report was printed, or leaks were found at the
   * exit; from 0 to 255. 0 leaves the code as it is, and so does a program that fails by itself.
   * Default: the environment variable TERRANE_EXIT_CODE, or 0.
   */
  exitCode?: number | undefined;
  /**
   * Samples one allocation in so many, at random, from 1 to 2^30. The others go straight to the
   * allocator below, and mistakes with them are not found. Default: 1.
   */
  sampleEvery?: number | undefined;
  /** Makes the same choice of samples every time; 0 to 2^32 - 1. Default: random. */
  seed?: number | undefined;
  /** Returns the number of the calling thread. Default: the Worker's threadId, 0 in a browser. */
  threadId?: (() => number) | undefined;
  /**
   * Shared memory whose first word, at first 0, names the thread that owns the allocator. For a
   * memory that threads pass around. Not with `threadSafe`. Default: none.
   */
  threadState?: Int32Array | undefined;
}

/** Options that have a setting of the same name and type. */
type PlainOption = Exclude<keyof DebugOptions, "backingAllocator" | "threadState" | "verboseLog">;

/** The values of all options but the backing allocator, and the detectors, which only tests set. */
export type Settings = Readonly<{
  [K in PlainOption]-?: Exclude<DebugOptions[K], undefined>;
}> & {
  readonly threadState: Int32Array | undefined;
  readonly log: ((line: string) => void) | undefined;
  readonly detectors: Detectors;
};

/** @throws TypeError or RangeError for wrong options, and for options that exclude each other. */
export function settingsOf(options: DebugOptions, pageSize: number): Settings {
  optionsCheck(debugOptions, options);
  const settings = withDefaults(options, pageSize);
  if (settings.sampleEvery > 1 && settings.enableMemoryLimit) {
    throw new TypeError("enableMemoryLimit counts every allocation: it needs sampleEvery: 1");
  }
  if (settings.threadSafe && settings.threadState) {
    throw new TypeError("threadState is for an allocator of one thread: use it without threadSafe");
  }
  return settings;
}

function withDefaults(options: DebugOptions, pageSize: number): Settings {
  const { verboseLog, sampleEvery = 1 } = options;
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
    quarantine: sampleEvery > 1 ? 2 ** 17 : 2 ** 20,
    onReport: "print",
    reportAtExit: true,
    exitCode: exitCodeOfEnvironment(),
    sampleEvery: 1,
    seed: Math.floor(Math.random() * 2 ** 32),
    threadId: ownThreadId,
    threadState: undefined,
    log: typeof verboseLog === "function" ? verboseLog : verboseLog ? printLine : undefined,
    ...Object.fromEntries(given),
    detectors: allDetectors,
  };
}

function printLine(line: string): void {
  console.error(line);
}

const ownThread = nodeModule("node:worker_threads")?.threadId ?? 0;

/** A Worker's number in Node. In a browser 0: there each Worker needs the option `threadId`. */
export function ownThreadId(): number {
  return ownThread;
}

/** For continuous integration, where the options of a program are not at hand. */
function exitCodeOfEnvironment(): number {
  const text = environment("TERRANE_EXIT_CODE");
  if (text === undefined || text === "") return 0;
  const error = exitCodeError("TERRANE_EXIT_CODE", /^[0-9]+$/.test(text) ? Number(text) : text);
  if (error) throw error;
  return Number(text);
}

/** Deno throws where a program may not read its environment. */
function environment(name: string): string | undefined {
  try {
    return nodeProcess()?.env?.[name];
  } catch {
    return undefined;
  }
}
