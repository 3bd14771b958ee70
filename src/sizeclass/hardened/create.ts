/** How hardened mallocs come into being. */
import { typeName } from "../../common/errors.ts";
import { optionsCheck } from "../../common/option-table.ts";
import { type SizeClassOptions, sizeClassRows } from "../heap/options.ts";
import { attachSizeClass, sizeClass } from "../heap/sizeclass.ts";
import { flagRows, type HardenedFlags, type HardenedHooks, hookRows } from "./flags.ts";
import { type HardenedHandle, HardenedMalloc, listMake } from "./malloc.ts";
import { outOfMemoryFor } from "./reports.ts";

/** Scudo's flags, hooks, and sizeClass's options for linear memory. */
export type HardenedOptions = HardenedFlags &
  HardenedHooks &
  Omit<SizeClassOptions, "space" | "spaceBegin">;

/** What a thread that attaches has of its own. */
export type HardenedAttachOptions = HardenedHooks &
  Pick<SizeClassOptions, "onError" | "onExhausted">;

const rows = [
  ...flagRows,
  ...hookRows,
  ...sizeClassRows.filter(({ name }) => name !== "space" && name !== "spaceBegin"),
];
const attachRows = [
  ...hookRows,
  ...sizeClassRows.filter(({ name }) => name === "onError" || name === "onExhausted"),
];

type Row = (typeof rows)[0];

/** The options that are in a table, and the others. */
function optionsSplit<T extends object>(options: T, table: Row[]): [Partial<T>, Partial<T>] {
  const known = new Set(table.map((row) => row.name));
  const entries = Object.entries(options);
  const [own, rest] = [true, false].map((wanted) =>
    Object.fromEntries(entries.filter(([name]) => known.has(name) === wanted)),
  );
  return [own as Partial<T>, rest as Partial<T>];
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
  optionsCheck(rows, options);
  const [flags, others] = optionsSplit(options, flagRows);
  const [hooks, rest] = optionsSplit(others, hookRows);
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  const heap = sizeClass({ shuffle: true, seed: randomWord(), ...Object.fromEntries(given) });
  const list = listMake(heap);
  if (list === 0) throw outOfMemoryFor(0);
  return new HardenedMalloc({ heap, flags, hooks, cookie: randomWord(), list });
}

/**
 * This thread's part of a hardened malloc of another thread, from its `handle()`.
 *
 * @throws TypeError for what is no handle; SizeClassError ERR_NO_SEAT when so many threads are
 * attached as the allocator allows.
 */
export function attachHardenedMalloc(
  handle: HardenedHandle,
  options: HardenedAttachOptions = {},
): HardenedMalloc {
  if (typeof handle !== "object" || handle === null || !("cookie" in handle)) {
    throw new TypeError(`no handle of a hardened malloc: ${typeName(handle)}`);
  }
  optionsCheck(attachRows, options);
  const [hooks, rest] = optionsSplit(options, hookRows);
  const { heap, flags, cookie, list } = handle;
  return new HardenedMalloc({ heap: attachSizeClass(heap, rest), flags, hooks, cookie, list });
}
