/** The flags of the hardened malloc, checked, and Scudo's way to say them in a string. */
import { typeName, wrongKind } from "../../common/errors.ts";
import type { OptionRow } from "../../common/option-table.ts";

/** Scudo's flags, in our spelling; the rest is `sizeClass`'s. */
export interface HardenedFlags {
  /** KiB of freed blocks that all threads together keep from reuse. Default: 0, none. */
  quarantineSizeKb?: number | undefined;
  /** KiB of them that a thread keeps for itself before it passes them on. Default: 0. */
  threadLocalQuarantineSizeKb?: number | undefined;
  /** Larger blocks go back at once. Default: 0, no limit. */
  quarantineMaxChunkSize?: number | undefined;
  /** Whether free, delete and delete[] must match malloc, new and new[]. Default: true. */
  deallocTypeMismatch?: boolean | undefined;
  /** Whether a sized delete must name the size of its new. Default: true. */
  deleteSizeMismatch?: boolean | undefined;
  /** Whether a block must lie at the alignment that an aligned delete names. Default: true. */
  deallocAlignMismatch?: boolean | undefined;
  /** Fills blocks with zeros when they are allocated. Default: false. */
  zeroContents?: boolean | undefined;
  /** Fills blocks with 0xab when they are allocated. Default: false. */
  patternFillContents?: boolean | undefined;
  /** Blocks of up to so many bytes are filled with zeros when they are freed. Default: 0, none. */
  zeroOnDeallocMaxSize?: number | undefined;
  /** Whether usableSize is what was asked for, or all that the block can hold. Default: true. */
  exactUsableSize?: boolean | undefined;
  /** Whether requests that fail answer 0, or throw. Default: true. */
  mayReturnNull?: boolean | undefined;
  /** Freed blocks whose stacks are remembered, once stacks are tracked; 0: none. Default: 32768. */
  allocationRingBufferSize?: number | undefined;
}

/** Whom one thread's part tells of what it does. */
export interface HardenedHooks {
  /** Called with each block that was allocated, when all is done; also by realloc. */
  onAllocate?: ((ptr: number, size: number) => void) | undefined;
  /** Called with each block that was freed; also by realloc, before onAllocate. */
  onDeallocate?: ((ptr: number) => void) | undefined;
}

const KIB_MOST = 2 ** 22;
const BYTES_MOST = 2 ** 32;
const RING_MOST = 2 ** 24;

type Refuse = OptionRow["refuse"];

function whole(name: string, most: number): Refuse {
  return (value) => {
    if (typeof value !== "number") return wrongKind(name, "a number", value);
    if (Number.isInteger(value) && value >= 0 && value <= most) return undefined;
    return new RangeError(`${name} must be a whole number from 0 to ${most}, not ${value}`);
  };
}

function isBoolean(name: string): Refuse {
  return (value) => (typeof value === "boolean" ? undefined : wrongKind(name, "a boolean", value));
}

function isFunction(name: string): Refuse {
  return (value) =>
    typeof value === "function" ? undefined : wrongKind(name, "a function", value);
}

function row(name: string, refuse: Refuse): OptionRow {
  return { name, type: "", default: "", text: "", refuse };
}

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
  ...Object.entries(numbers).map(([name, most]) => row(name, whole(name, most))),
  ...booleans.map((name) => row(name, isBoolean(name))),
];

export const hookRows: OptionRow[] = ["onAllocate", "onDeallocate"].map((name) =>
  row(name, isFunction(name)),
);

/** What scudoOptions answers: flags, and the interval of releases. */
export interface ScudoOptions extends HardenedFlags {
  releaseInterval?: number;
}

/** An environment, as process.env. */
export type ScudoEnvironment = Readonly<Record<string, string | undefined>>;

/** Options whose names are not those of their flags. */
const renamed: Record<string, string> = { release_to_os_interval_ms: "releaseInterval" };

/** Option of each flag. */
const options = new Map(
  [...Object.keys(numbers), ...booleans]
    .filter((name) => name !== "exactUsableSize") // no flag of Scudo, but of how it is built
    .map((name) => [name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), name] as const)
    .concat(Object.entries(renamed)),
);

/** `name=value`, the value in quotes or up to the next separator. */
const PAIR = /^([^=\s,:]+)(?:=(?:"([^"]*)"|'([^']*)'|([^\s,:]*)))?(?=[\s,:]|$)/;
const SEPARATORS = /^[\s,:]+/;

/**
 * Options for hardenedMalloc from flags in Scudo's spelling, `name=value` with spaces, commas or
 * colons between; or from an environment, where SCUDO_OPTIONS has them and
 * SCUDO_ALLOCATION_RING_BUFFER_SIZE the last one. Values are whole numbers, or 1, yes, true, 0, no,
 * false. Flags that are unknown here are told to `onUnknown`, and otherwise ignored, as in Scudo.
 * Negative sizes are 0.
 *
 * @throws RangeError for flags without a value or with a wrong one, in Scudo's words.
 * @example
 * const heap = hardenedMalloc(scudoOptions("quarantine_size_kb=64:zero_contents=true"));
 * const other = hardenedMalloc(scudoOptions(process.env));
 */
export function scudoOptions(
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
