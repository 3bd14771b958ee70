/** Creates hardened mallocs, and attaches threads to them. */
import { typeName } from "../../common/errors.ts";
import { checkFields, type FieldRules, isObject, isWhole } from "../../common/handle-fields.ts";
import { optionsCheck } from "../../common/option-table.ts";
import { type SizeClassOptions, sizeClassRows } from "../heap/options.ts";
import { attachSizeClassHeap, createSizeClassHeap } from "../heap/sizeclass.ts";
import { flagRows, type HardenedFlags, type HardenedHooks, hookRows } from "./flags.ts";
import { HardenedMalloc } from "./malloc.ts";
import { LIST_BYTES } from "./quarantine.ts";
import { outOfMemoryFor } from "./reports.ts";
import type { HardenedHandle } from "./threads.ts";

const handleRules: FieldRules<HardenedHandle> = {
  heap: ["a handle of its size classes", isObject],
  flags: ["an object with its flags", areFlags],
  cookie: ["a word", (value) => isWhole(value, 0xffffffff)],
  list: ["the address of its quarantine", (value) => isWhole(value, 2 ** 32) && value % 16 === 0],
};

/** Options of createHardenedMalloc: flags, hooks, and createSizeClassHeap's for linear memory. */
export type HardenedOptions = HardenedFlags &
  HardenedHooks &
  Omit<SizeClassOptions, "space" | "spaceBegin">;

/** Options of a thread that attaches; the others are those of the first thread. */
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

/** Splits options into those of a table and the others. */
function optionsSplit<T extends object>(options: T, table: Row[]): [Partial<T>, Partial<T>] {
  const known = new Set(table.map((row) => row.name));
  const entries = Object.entries(options);
  const [own, rest] = [true, false].map((wanted) =>
    Object.fromEntries(entries.filter(([name]) => known.has(name) === wanted)),
  );
  return [own as Partial<T>, rest as Partial<T>];
}

function areFlags(value: unknown): boolean {
  if (!isObject(value)) return false;
  try {
    optionsCheck(flagRows, value);
  } catch {
    return false;
  }
  return true;
}

function randomWord(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}

/**
 * Creates a hardened malloc in linear memory: size classes whose new chunks come in a random order
 * unless `shuffle` is false, a checked header for each block, and a quarantine for freed blocks.
 *
 * @throws TypeError or RangeError for options that are unknown, out of range or in conflict.
 * @throws HardenedError ERR_OUT_OF_MEMORY when there is no memory for the list of the quarantine.
 * @example
 * using heap = createHardenedMalloc({ quarantineSizeKb: 256, zeroContents: true });
 * heap.free(heap.malloc(100));
 */
export function createHardenedMalloc(options: HardenedOptions = {}): HardenedMalloc {
  optionsCheck(rows, options);
  const [flags, others] = optionsSplit(options, flagRows);
  const [hooks, rest] = optionsSplit(others, hookRows);
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  const heap = createSizeClassHeap({
    shuffle: true,
    seed: randomWord(),
    ...Object.fromEntries(given),
  });
  const list = heap.zalloc(LIST_BYTES);
  if (list === 0) throw outOfMemoryFor(0);
  return new HardenedMalloc({ heap, flags, hooks, cookie: randomWord(), list });
}

/**
 * Attaches this thread to the hardened malloc of another one. `handle` is what its `handle()`, or
 * `startWorker`, gave.
 *
 * @throws TypeError unless handle is one.
 * @throws SizeClassError ERR_NO_THREAD when all thread slots are taken, or the thread of the handle
 * is attached already.
 * @example
 * const heap = attachHardenedMalloc(workerData);
 * heap.free(heap.malloc(100));
 * heap.detach();
 */
export function attachHardenedMalloc(
  handle: HardenedHandle,
  options: HardenedAttachOptions = {},
): HardenedMalloc {
  if (typeof handle !== "object" || handle === null || !("cookie" in handle)) {
    throw new TypeError(
      `handle must come from handle() of a hardened malloc, not ${typeName(handle)}`,
    );
  }
  checkFields(handle, handleRules, "handle() of a hardened malloc");
  optionsCheck(attachRows, options);
  const [hooks, rest] = optionsSplit(options, hookRows);
  const { heap, flags, cookie, list } = handle;
  return new HardenedMalloc({ heap: attachSizeClassHeap(heap, rest), flags, hooks, cookie, list });
}
