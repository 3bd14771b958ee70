/** The flags of the hardened malloc, their checks, and their spelling in Scudo. */
import { typeName, wrongKind } from "../../common/errors.ts";
import type { OptionRow } from "../../common/option-table.ts";
import { booleanRule, functionRule, optionRow, wholeRule } from "../heap/options.ts";

/**
 * Scudo's flags in camel case; undefined is the same as absent. The other options are those of
 * createSizeClassHeap.
 */
export interface HardenedFlags {
  /**
   * KiB of freed blocks that all threads together keep from reuse, from 0 to 2^22. Default: 0, no
   * quarantine.
   */
  quarantineSizeKb?: number | undefined;
  /**
   * KiB of freed blocks that a thread collects before it passes them to the quarantine of all
   * threads, from 0 to 2^22. Default: 0.
   */
  threadLocalQuarantineSizeKb?: number | undefined;
  /** Blocks of more bytes do not enter the quarantine; up to 2^32. Default: 0, no limit. */
  quarantineMaxChunkSize?: number | undefined;
  /** Whether free, delete and delete[] must match malloc, new and new[]. Default: true. */
  deallocTypeMismatch?: boolean | undefined;
  /** Whether a sized delete must name the size of its new. Default: true. */
  deleteSizeMismatch?: boolean | undefined;
  /** Whether a block must have the alignment that an aligned delete names. Default: true. */
  deallocAlignMismatch?: boolean | undefined;
  /** Fills new blocks with zeros. Default: false. */
  zeroContents?: boolean | undefined;
  /** Fills new blocks with 0xab, unless zeroContents is true. Default: false. */
  patternFillContents?: boolean | undefined;
  /**
   * Blocks of up to so many bytes are filled with zeros when they are freed; up to 2^32. Default:
   * 0, none.
   */
  zeroOnDeallocMaxSize?: number | undefined;
  /** Whether usableSize is the size of the request; else all that a block holds. Default: true. */
  exactUsableSize?: boolean | undefined;
  /** Whether requests that fail return 0; else they throw. Default: true. */
  mayReturnNull?: boolean | undefined;
  /**
   * Freed blocks whose stacks are remembered while stacks are tracked, up to 2^24; 0 = none.
   * Default: 32768.
   */
  allocationRingBufferSize?: number | undefined;
}

/** Functions that are called after allocations and frees of this thread. */
export interface HardenedHooks {
  /** Called with the address and the size of each block that was allocated; also by realloc. */
  onAllocate?: ((ptr: number, size: number) => void) | undefined;
  /** Called with the address of each block that was freed; also by realloc, before onAllocate. */
  onDeallocate?: ((ptr: number) => void) | undefined;
}

const KIB_MOST = 2 ** 22;
const BYTES_MOST = 2 ** 32;
const RING_MOST = 2 ** 24;

const booleans = [
  ...["deallocTypeMismatch", "deleteSizeMismatch", "deallocAlignMismatch", "zeroContents"],
  ...["patternFillContents", "exactUsableSize", "mayReturnNull"],
];
const numbers: Record<string, number> = {
  quarantineSizeKb: KIB_MOST,
  threadLocalQuarantineSizeKb: KIB_MOST,
  quarantineMaxChunkSize: BYTES_MOST,
  zeroOnDeallocMaxSize: BYTES_MOST,
  allocationRingBufferSize: RING_MOST,
};

export const flagRows: OptionRow[] = [
  ...Object.entries(numbers).map(([name, most]) => optionRow(name, wholeRule(name, 0, most))),
  ...booleans.map((name) => optionRow(name, booleanRule(name))),
];

export const hookRows: OptionRow[] = ["onAllocate", "onDeallocate"].map((name) =>
  optionRow(name, functionRule(name)),
);

/** What parseScudoOptions returns. */
export interface ScudoOptions extends HardenedFlags {
  /** Milliseconds between releases: the option of createSizeClassHeap. */
  releaseInterval?: number;
}

/** Environment variables, such as process.env. */
export type ScudoEnvironment = Readonly<Record<string, string | undefined>>;

/** Flags whose option has another name. */
const renamed: Record<string, string> = { release_to_os_interval_ms: "releaseInterval" };

/** The option of each flag. */
const options = new Map(
  [...Object.keys(numbers), ...booleans]
    .filter((name) => name !== "exactUsableSize") // a constant of the build in Scudo
    .map((name) => [name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), name] as const)
    .concat(Object.entries(renamed)),
);

/** `name=value`, the value in quotes or up to the next separator. */
const PAIR = /^([^=\s,:]+)(?:=(?:"([^"]*)"|'([^']*)'|([^\s,:]*)))?(?=[\s,:]|$)/;
const SEPARATORS = /^[\s,:]+/;

/**
 * Parses flags in Scudo's spelling to options for createHardenedMalloc: a string of `name=value`
 * with spaces, commas or colons between, or an environment, in which SCUDO_OPTIONS has the flags
 * and SCUDO_ALLOCATION_RING_BUFFER_SIZE the last one. Values are whole numbers, or 1, yes, true, 0,
 * no, false. Negative sizes become 0. A flag that is unknown here is passed to `onUnknown` and
 * otherwise ignored, as in Scudo.
 *
 * @throws RangeError, with Scudo's text, for a flag without a value or with a wrong one.
 * @throws TypeError unless from is a string or an object, and onUnknown a function.
 * @example
 * const heap = createHardenedMalloc(parseScudoOptions("quarantine_size_kb=64:zero_contents=true"));
 * const other = createHardenedMalloc(parseScudoOptions(process.env));
 */
export function parseScudoOptions(
  from: string | ScudoEnvironment,
  onUnknown: (name: string) => void = () => {},
): ScudoOptions {
  if (typeof onUnknown !== "function") throw wrongKind("onUnknown", "a function", onUnknown);
  const found: Record<string, number | boolean> = {};
  for (const [name, value] of pairsOf(textOf(from))) {
    const option = options.get(name);
    if (option === undefined) onUnknown(name);
    else found[option] = booleans.includes(option) ? booleanOf(value) : numberOf(option, value);
  }
  return found;
}

function textOf(from: unknown): string {
  if (typeof from === "string") return from;
  if (typeof from !== "object" || from === null) {
    throw new TypeError(`flags must be a string or an environment, not ${typeName(from)}`);
  }
  const { SCUDO_OPTIONS = "", SCUDO_ALLOCATION_RING_BUFFER_SIZE: ring } = from as ScudoEnvironment;
  return ring === undefined
    ? SCUDO_OPTIONS
    : `${SCUDO_OPTIONS} allocation_ring_buffer_size=${ring}`;
}

function pairsOf(text: string): [name: string, value: string][] {
  const pairs: [string, string][] = [];
  let rest = text.replace(SEPARATORS, "");
  while (rest !== "") {
    const match = PAIR.exec(rest);
    if (!match) throw new RangeError(`expected '=' in flags at "${rest}"`);
    const [all, name = "", ...values] = match;
    const value = values.find((one) => one !== undefined);
    if (value === undefined) throw new RangeError(`expected '=' after flag ${name}`);
    pairs.push([name, value]);
    rest = rest.slice(all.length).replace(SEPARATORS, "");
  }
  return pairs;
}

function booleanOf(value: string): boolean {
  if (["1", "yes", "true"].includes(value)) return true;
  if (["0", "no", "false"].includes(value)) return false;
  throw new RangeError(`invalid value for bool option: '${value}'`);
}

function numberOf(option: string, value: string): number {
  if (!/^[-+]?\d+$/.test(value)) throw new RangeError(`invalid value for int option: '${value}'`);
  return option === "releaseInterval" ? Number(value) : Math.max(0, Number(value));
}
