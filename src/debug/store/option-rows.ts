/** The table of the options of `debug`: it checks them, and docs/guide/debugging.md shows it. */
import { wrongKind } from "../../common/errors.ts";
import { type OptionRow, optionsMarkdown } from "../../common/option-table.ts";
import { exitCodeError, flagError, sinkError, wholeError } from "./option-errors.ts";

const FRAMES_LIMIT = 64;
const WORD_LIMIT = 0xffffffff;

/** All options of debug. */
export const debugOptions: OptionRow[] = [
  {
    name: "stackTraceFrames",
    type: "number",
    default: "8",
    text: "Frames of each stack, 0 to 64. 0 takes no stacks, which makes a call ten times faster.",
    refuse: (value) => wholeError("stackTraceFrames", value, 0, FRAMES_LIMIT),
  },
  {
    name: "enableMemoryLimit",
    type: "boolean",
    default: "false",
    text: "Refuses and reports requests beyond `requestedMemoryLimit`.",
    refuse: (value) => flagError("enableMemoryLimit", value),
  },
  {
    name: "requestedMemoryLimit",
    type: "number",
    default: "none",
    text: "The most bytes that all live blocks together may have requested.",
    refuse: (value) => wholeError("requestedMemoryLimit", value, 0, Number.MAX_SAFE_INTEGER),
  },
  {
    name: "safety",
    type: "boolean",
    default: "true",
    text: "Writes and checks canaries and poison. Without it, stray writes are not found.",
    refuse: (value) => flagError("safety", value),
  },
  {
    name: "threadSafe",
    type: "boolean",
    default: "false",
    text: "For a heap that threads share. Without it, the allocator belongs to one thread.",
    refuse: (value) => flagError("threadSafe", value),
  },
  {
    name: "neverUnmap",
    type: "boolean",
    default: "false",
    text: "Keeps freed memory, protected or poisoned, until memory is out: see below.",
    refuse: (value) => flagError("neverUnmap", value),
  },
  {
    name: "retainMetadata",
    type: "boolean",
    default: "false",
    text: "Keeps sizes and stacks of memory that was given back, to find a double free of it.",
    refuse: (value) => flagError("retainMetadata", value),
  },
  {
    name: "verboseLog",
    type: "boolean | (line) => void",
    default: "false",
    text: "Writes a line for each call, to stderr or to a function.",
    refuse: (value) =>
      typeof value === "function" ? undefined : flagError("verboseLog", value, " or a function"),
  },
  {
    name: "resizeStackTraces",
    type: "boolean",
    default: "false",
    text: "Keeps the stack of the first allocation across reallocs, and that of the last realloc.",
    refuse: (value) => flagError("resizeStackTraces", value),
  },
  {
    name: "canary",
    type: "number",
    default: "0x85dff10f",
    text: "The 32-bit word that fills the zones around blocks.",
    refuse: (value) => wholeError("canary", value, 0, WORD_LIMIT),
  },
  {
    name: "pageSize",
    type: "number",
    default: "16384; 65536 over a memory",
    text: "Bytes of a page of small blocks: a power of two from 4096 to 1048576.",
    refuse: (value) => pageSizeError(value),
  },
  {
    name: "backingAllocator",
    type: "allocator, Pool or MemorySource",
    default: "the first argument, or a new memory",
    text: "Where memory comes from: an allocator with C's calls, a pool of layers, or a memory.",
    refuse: () => undefined, // backingOf checks it, and the first argument of debug too
  },
  {
    name: "quarantine",
    type: "number",
    default: "1 MiB; 128 KiB when sampling",
    text: "Bytes of freed memory that are held back and checked before they are given back.",
    refuse: (value) => wholeError("quarantine", value, 0, WORD_LIMIT),
  },
  {
    name: "onReport",
    type: '"print" | "throw" | (report) => void',
    default: '"print"',
    text: "What happens to a report: text on stderr, a thrown MemoryMistake, or a call.",
    refuse: (value) => sinkError(value),
  },
  {
    name: "reportAtExit",
    type: "boolean",
    default: "true",
    text: "In Node, looks for leaks when the process exits. Keeps the allocator until it ends.",
    refuse: (value) => flagError("reportAtExit", value),
  },
  {
    name: "exitCode",
    type: "number",
    default: "`TERRANE_EXIT_CODE`, or 0",
    text: "In Node, the exit code of a process with printed reports or leaks at exit; 0: its own.",
    refuse: (value) => exitCodeError("exitCode", value),
  },
  {
    name: "sampleEvery",
    type: "number",
    default: "1",
    text: "Samples one allocation in so many; the others go straight to the allocator below.",
    refuse: (value) => wholeError("sampleEvery", value, 1, 2 ** 30),
  },
  {
    name: "seed",
    type: "number",
    default: "random",
    text: "Makes the same choice of samples every time.",
    refuse: (value) => wholeError("seed", value, 0, WORD_LIMIT),
  },
  {
    name: "threadId",
    type: "() => number",
    default: "the Worker's threadId",
    text: "Returns the number of the calling thread.",
    refuse: (value) =>
      typeof value === "function" ? undefined : wrongKind("threadId", "a function", value),
  },
  {
    name: "threadState",
    type: "Int32Array",
    default: "none",
    text: "A word of shared memory, at first 0, that names the owner of a memory of many threads.",
    refuse: (value) =>
      value instanceof Int32Array && value.length > 0
        ? undefined
        : wrongKind("threadState", "an Int32Array with a word", value),
  },
];

/** The table as it stands in docs/guide/debugging.md. */
export function debugOptionsMarkdown(): string {
  return optionsMarkdown(debugOptions);
}

function pageSizeError(value: unknown): Error | undefined {
  const error = wholeError("pageSize", value, 4096, 2 ** 20);
  if (error || Number.isInteger(Math.log2(value as number))) return error;
  return new RangeError(`pageSize must be a power of two, not ${value}`);
}
