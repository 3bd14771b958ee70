/** The options of createSizeClassHeap, and their checks. */

import { wrongKind } from "../../common/errors.ts";
import { hasMembers } from "../../common/kinds.ts";
import { type OptionRow, optionsCheck } from "../../common/option-table.ts";
import type { ErrorHandler } from "../../heap/backend.ts";
import type { BackEnd } from "../../heap/calls/contract.ts";
import type { MemorySource, Releasing } from "../../memory/index.ts";
import { releaseError } from "../../memory/release-option.ts";
import { memoryError } from "../../memory/source.ts";
import type { AddressSpace, SizeClassMapOptions } from "../core/contract.ts";
import { SLOTS_MAX } from "../core/layout.ts";
import type { SizeClassMapName } from "../spaces/maps.ts";
import type { SizeClassError } from "./errors.ts";

/** How classes get their regions: see the option `regions`. */
export type Regions = "reserved" | "onDemand";

/** Options of createSizeClassHeap; undefined is the same as absent. Sizes are in bytes. */
export interface SizeClassOptions {
  /** Which build serves linear memory. Default: "wasm". Not with `space`. */
  backend?: BackEnd | undefined;
  /** The linear memory that holds everything. Default: a new one. Not with `space`. */
  memory?: WebAssembly.Memory | MemorySource | undefined;
  /**
   * Size that a new memory does not grow beyond, from 0 to 2^32. Default: 4 GiB; shared 256 MiB.
   */
  maximum?: number | undefined;
  /** An address space beyond 2^32 that holds everything, in place of linear memory. */
  space?: AddressSpace | undefined;
  /**
   * Address in `space` where the allocator begins: a multiple of `pageSize` up to 2^52. Default:
   * the begin of the space; then the order of `shuffle` depends on the address.
   */
  spaceBegin?: number | undefined;
  /**
   * How classes get their regions. "onDemand": as many as a class needs, from the memory as it
   * grows; only in linear memory. "reserved": one a class, at addresses that are set apart from the
   * beginning. Default: "onDemand" in linear memory, unless spaceSize, freeArray or granule is
   * given; "reserved" in a `space`.
   */
  regions?: Regions | undefined;
  /**
   * On demand: size of a region, a power of two from 64 KiB to 16 MiB. Default: the smallest that
   * holds a chunk of the largest class.
   */
  regionSize?: number | undefined;
  /**
   * Reserved: size of all regions together, a power of two from 1 MiB to 2^43. Default: 64 MiB; in
   * a `space` 2^40.
   */
  spaceSize?: number | undefined;
  /** The size classes. Default: "veryCompact"; in a `space` "default". */
  map?: SizeClassMapName | SizeClassMapOptions | undefined;
  /** Size of the metadata of each chunk: a multiple of 16 up to 1024. Default: 0. */
  metadataSize?: number | undefined;
  /**
   * Reserved: size that is mapped at a time, a power of two from 4 KiB to 1 MiB. Default: 64 KiB.
   */
  granule?: number | undefined;
  /** Size of a page of the system, from 4 to 64 KiB. Default: that of `memory`, or 4096. */
  pageSize?: number | undefined;
  /**
   * Reserved: the free array is 1 / freeArray of a region; a power of two from 2 to 32. Default: 8.
   */
  freeArray?: number | undefined;
  /**
   * Whether new chunks come in a random order: drawn from `seed`, without one in linear memory from
   * a random number. Default: false.
   */
  shuffle?: boolean | undefined;
  /** Seed of the order, from 0 to 2^32 - 1. Default: from the address of the first region. */
  seed?: number | undefined;
  /**
   * Milliseconds between two releases of a class's free pages to the system; negative: never.
   * Default: 5000 where the memory can release, else -1.
   */
  releaseInterval?: number | undefined;
  /**
   * Gives free memory back to the operating system: `tryOsPages` of terrane/memory, where that can
   * be done, or `withOsPages`, which throws where it cannot. Default: only where `memory` has
   * `pages` of its own. If a Worker is terminated while it loads koffi, the process ends: see
   * docs/guide/sizeclass.md.
   */
  release?: Releasing | false | undefined;
  /** Whether the last range of free chunks is released too, which LLVM omits. Default: true. */
  releaseLast?: boolean | undefined;
  /** Whether other threads may attach. Default: false. */
  shared?: boolean | undefined;
  /** How many threads may be attached at a time, from 1 to 64. Default: 32. */
  threads?: number | undefined;
  /** Called when a request fails, with 12 (out of memory), the size and a sentence. */
  onError?: ErrorHandler | undefined;
  /** Called once for each class that is full, before the request goes to a larger class. */
  onExhausted?: ((error: SizeClassError) => void) | undefined;
  /**
   * Called after a range is mapped, while a lock is held: it must not call the allocator. What it
   * throws is thrown again in a microtask.
   */
  onMap?: ((address: number, bytes: number) => void) | undefined;
  /** Called before a range is unmapped, under the same rules as onMap. */
  onUnmap?: ((address: number, bytes: number) => void) | undefined;
  /**
   * The clock of releases: milliseconds since any moment. Under the same rules as onMap. Default:
   * performance.now.
   */
  now?: (() => number) | undefined;
}

/** Rules return what is wrong with a value of the option `name`, or undefined. */
export function booleanRule(name: string) {
  return (value: unknown) =>
    typeof value === "boolean" ? undefined : wrongKind(name, "a boolean", value);
}

export function functionRule(name: string) {
  return (value: unknown) =>
    typeof value === "function" ? undefined : wrongKind(name, "a function", value);
}

export function wholeRule(name: string, least: number, most: number) {
  return (value: unknown) => {
    if (typeof value !== "number") return wrongKind(name, "a number", value);
    if (Number.isInteger(value) && value >= least && value <= most) return undefined;
    return new RangeError(`${name} must be a whole number from ${least} to ${most}, not ${value}`);
  };
}

function powerRule(name: string, least: number, most: number) {
  return (value: unknown) => {
    if (typeof value !== "number") return wrongKind(name, "a number", value);
    if (Number.isInteger(Math.log2(value)) && value >= least && value <= most) return undefined;
    return new RangeError(`${name} must be a power of two from ${least} to ${most}, not ${value}`);
  };
}

function spaceRule(value: unknown): Error | undefined {
  const good = hasMembers(value, "begin", "map", "unmap", "release", "load32", "store32");
  return good ? undefined : wrongKind("space", "an address space", value);
}

export function optionRow(name: string, refuse: OptionRow["refuse"]): OptionRow {
  return { name, type: "", default: "", text: "", refuse };
}

function backEndRule(value: unknown): Error | undefined {
  if (value === "wasm" || value === "js") return undefined;
  return new RangeError(`backend must be "wasm" or "js", not ${String(value)}`);
}

function regionsRule(value: unknown): Error | undefined {
  if (value === "reserved" || value === "onDemand") return undefined;
  return new RangeError(`regions must be "reserved" or "onDemand", not ${String(value)}`);
}

const intervalRule = wholeRule("releaseInterval", -(2 ** 31), 2 ** 31);

/** @throws TypeError or RangeError unless value is a whole number from -2^31 to 2^31. */
export function intervalCheck(value: unknown): void {
  const wrong = intervalRule(value);
  if (wrong) throw wrong;
}

/** Every option of createSizeClassHeap. */
export const sizeClassRows: OptionRow[] = [
  optionRow("backend", backEndRule),
  optionRow("memory", memoryError),
  optionRow("maximum", wholeRule("maximum", 0, 2 ** 32)),
  optionRow("space", spaceRule),
  optionRow("spaceBegin", wholeRule("spaceBegin", 0, 2 ** 52)),
  optionRow("regions", regionsRule),
  optionRow("regionSize", powerRule("regionSize", 2 ** 16, 2 ** 24)),
  optionRow("spaceSize", powerRule("spaceSize", 2 ** 20, 2 ** 43)),
  optionRow("map", () => undefined),
  optionRow("metadataSize", wholeRule("metadataSize", 0, 1024)),
  optionRow("granule", powerRule("granule", 4096, 2 ** 20)),
  optionRow("pageSize", powerRule("pageSize", 4096, 2 ** 16)),
  optionRow("freeArray", powerRule("freeArray", 2, 32)),
  optionRow("shuffle", booleanRule("shuffle")),
  optionRow("seed", wholeRule("seed", 0, 2 ** 32 - 1)),
  optionRow("releaseInterval", intervalRule),
  optionRow("release", releaseError),
  optionRow("releaseLast", booleanRule("releaseLast")),
  optionRow("shared", booleanRule("shared")),
  optionRow("threads", wholeRule("threads", 1, SLOTS_MAX)),
  optionRow("onError", functionRule("onError")),
  optionRow("onExhausted", functionRule("onExhausted")),
  optionRow("onMap", functionRule("onMap")),
  optionRow("onUnmap", functionRule("onUnmap")),
  optionRow("now", functionRule("now")),
];

/** @throws TypeError or RangeError for unknown options and values out of range. */
export function sizeClassCheck(options: SizeClassOptions): void {
  optionsCheck(sizeClassRows, options);
  const { space, memory, backend, shared, maximum, spaceBegin } = options;
  regionsCheck(options);
  if (space === undefined) {
    if (spaceBegin !== undefined) throw new TypeError("spaceBegin is for a space");
    if (memory !== undefined && maximum !== undefined) {
      throw new TypeError("maximum is for a new memory");
    }
    return;
  }
  if (memory !== undefined || maximum !== undefined || backend !== undefined) {
    throw new TypeError("space takes the place of memory, maximum and backend");
  }
  if (shared) throw new TypeError("a space is for one thread: shared needs a memory");
}

/** Options of reserved regions only. */
const RESERVING = ["spaceSize", "freeArray", "granule"] as const;

/** Whether regions are on demand under these options. */
export function areOnDemand(options: SizeClassOptions): boolean {
  const { regions, space } = options;
  if (regions !== undefined) return regions === "onDemand";
  return space === undefined && RESERVING.every((name) => options[name] === undefined);
}

/** @throws TypeError for options of the other kind of regions. */
function regionsCheck(options: SizeClassOptions): void {
  if (!areOnDemand(options)) {
    if (options.regionSize === undefined) return;
    throw new TypeError("regionSize is for regions on demand");
  }
  if (options.space) throw new TypeError("regions on demand are for linear memory");
  for (const name of RESERVING) {
    if (options[name] !== undefined) throw new TypeError(`${name} is for reserved regions`);
  }
}
