/** How hardened mallocs come into being. */
import { optionsCheck, wrongKind } from "../options.ts";
import { type HardenedFlags, type HardenedHandle, HardenedMalloc, listMake } from "./hardened.ts";
import type { SizeClassOptions } from "./options.ts";
import { outOfMemoryFor } from "./reports.ts";
import { attachSizeClass, sizeClass } from "./sizeclass.ts";

/** Scudo's flags, and sizeClass's options for linear memory. */
export type HardenedOptions = HardenedFlags & Omit<SizeClassOptions, "space" | "spaceBegin">;

const whole = ["quarantineSizeKb", "threadLocalQuarantineSizeKb", "quarantineMaxChunkSize"];
const flags = [
  "deallocTypeMismatch",
  "deleteSizeMismatch",
  "zeroContents",
  "patternFillContents",
  "mayReturnNull",
];
const KIB_MOST = 2 ** 22;

function refuseNumber(name: string, value: unknown): Error | undefined {
  if (typeof value !== "number") return wrongKind(name, "a number", value);
  const most = name.endsWith("Kb") ? KIB_MOST : KIB_MOST * 1024;
  if (Number.isInteger(value) && value >= 0 && value <= most) return undefined;
  return new RangeError(`${name} must be a whole number from 0 to ${most}, not ${value}`);
}

const rows = [
  ...whole.map((name) => ({ name, refuse: (value: unknown) => refuseNumber(name, value) })),
  ...flags.map((name) => ({
    name,
    refuse: (value: unknown) =>
      typeof value === "boolean" ? undefined : wrongKind(name, "a boolean", value),
  })),
].map((row) => ({ type: "", default: "", text: "", ...row }));

/** The flags among the options, checked, and the rest. */
function optionsSplit(options: HardenedOptions): [HardenedFlags, SizeClassOptions] {
  const known = new Set(rows.map((row) => row.name));
  const entries = Object.entries(options);
  const own = Object.fromEntries(entries.filter(([name]) => known.has(name)));
  optionsCheck(rows, own);
  return [own, Object.fromEntries(entries.filter(([name]) => !known.has(name)))];
}

function randomWord(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}

/**
 * A hardened malloc in linear memory: size classes whose fresh chunks come in a random order,
 * unless `shuffle` is false, a checked header for each block, and a quarantine for freed ones.
 *
 * @throws TypeError or RangeError for options that are unknown or out of range.
 * @example
 * using heap = hardenedMalloc({ quarantineSizeKb: 256, zeroContents: true });
 * heap.free(heap.malloc(100));
 */
export function hardenedMalloc(options: HardenedOptions = {}): HardenedMalloc {
  const [own, rest] = optionsSplit(options);
  const heap = sizeClass({ shuffle: true, seed: randomWord(), ...rest });
  const list = listMake(heap);
  if (list === 0) throw outOfMemoryFor(0);
  return new HardenedMalloc({ heap, flags: own, cookie: randomWord(), list });
}

/** This thread's part of a hardened malloc of another thread, from its `handle()`. */
export function attachHardenedMalloc({
  heap,
  flags: own,
  cookie,
  list,
}: HardenedHandle): HardenedMalloc {
  return new HardenedMalloc({ heap: attachSizeClass(heap), flags: own, cookie, list });
}
