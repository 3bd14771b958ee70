/** The options of createHeap and attachHeap. */

import { wrongKind } from "../common/errors.ts";
import type { OptionRow } from "../common/option-table.ts";
import type { MemorySource, Release } from "../memory/index.ts";
import type { ErrorHandler } from "./backend.ts";
import type { BackEnd } from "./calls/contract.ts";
import type { Hardening } from "./hardening-features.ts";
import { purgeRefuse } from "./purge-settings.ts";
import { levelRefuse, type StatsLevel } from "./stats/observers.ts";

export interface HeapOptions {
  backend?: BackEnd | undefined;
  memory?: WebAssembly.Memory | MemorySource | undefined;
  offset?: number | undefined;
  initial?: number | undefined;
  maximum?: number | undefined;
  shared?: boolean | undefined;
  release?: Release | undefined;
  purgeDelay?: number | undefined;
  purgeExtendDelay?: number | undefined;
  arenaPurgeMult?: number | undefined;
  purgeDecommits?: boolean | undefined;
  purgeZeroes?: boolean | undefined;
  statsLevel?: StatsLevel | undefined;
  onError?: ErrorHandler | undefined;
  hardening?: Hardening | false | undefined;
}

/** Every option of createHeap. */
export const heapOptions: OptionRow[] = [
  {
    name: "backend",
    type: '"wasm" | "js"',
    default: '"wasm"',
    text: "Which build of the core serves the heap. js runs where WebAssembly may not.",
    refuse: (value) => (value === "wasm" || value === "js" ? undefined : wrongBackEnd(value)),
  },
  {
    name: "memory",
    type: "WebAssembly.Memory | MemorySource",
    default: "a new memory",
    text: "Where bytes come from: a memory of yours, or a source from terrane/memory.",
    refuse: (value) => (isMemory(value) ? undefined : wrongKind("memory", "a memory", value)),
  },
  {
    name: "offset",
    type: "number",
    default: "the end of `memory`",
    text: "First byte of `memory` that the heap may use, rounded up to 64 KiB.",
    refuse: (value) => wrongBytes("offset", value),
  },
  {
    name: "initial",
    type: "number",
    default: "128 KiB",
    text: "Bytes of a new memory that are there at once, rounded up to 64 KiB.",
    refuse: (value) => wrongBytes("initial", value),
  },
  {
    name: "maximum",
    type: "number",
    default: "4 GiB less 64 KiB",
    text: "Bytes beyond which the memory does not grow: then allocation answers 0.",
    refuse: (value) => wrongBytes("maximum", value),
  },
  {
    name: "shared",
    type: "boolean",
    default: "false",
    text: "Other threads may attach to the heap: see docs/threads.md.",
    refuse: (value) =>
      typeof value === "boolean" ? undefined : wrongKind("shared", "a boolean", value),
  },
  {
    name: "release",
    type: '"auto" | boolean',
    default: "false",
    text:
      "Gives free memory back to the operating system: `true` throws where that cannot be done, " +
      '`"auto"` goes without. See docs/os-pages.md.',
    refuse: (value) =>
      value === "auto" || typeof value === "boolean" ? undefined : wrongRelease(value),
  },
  {
    name: "purgeDelay",
    type: "number",
    default: "10",
    text: "Ticks from a free to giving memory back, if that can be; 0 = at once, -1 = never.",
    refuse: (value) => purgeRefuse("purgeDelay", value),
  },
  {
    name: "purgeExtendDelay",
    type: "number",
    default: "1",
    text: "Ticks by which another free nearby puts that off.",
    refuse: (value) => purgeRefuse("purgeExtendDelay", value),
  },
  {
    name: "arenaPurgeMult",
    type: "number",
    default: "10",
    text: "By how much longer the memory of an arena waits.",
    refuse: (value) => purgeRefuse("arenaPurgeMult", value),
  },
  {
    name: "purgeDecommits",
    type: "boolean",
    default: "true",
    text: "Giving back decommits; else the system is only told that the contents do not matter.",
    refuse: (value) => purgeRefuse("purgeDecommits", value),
  },
  {
    name: "purgeZeroes",
    type: "boolean",
    default: "false",
    text: "Fills freed memory that cannot be given back with zeros, so that calloc need not.",
    refuse: (value) => purgeRefuse("purgeZeroes", value),
  },
  {
    name: "statsLevel",
    type: "0 | 1 | 2",
    default: "0",
    text: "How much statistics count; above 0 it costs: see docs/statistics.md.",
    refuse: levelRefuse,
  },
  {
    name: "onError",
    type: "(code, value, text) => void",
    default: "nothing",
    text:
      "Called when a request fails: 12 = out of memory, 75 = request too large; with hardening " +
      "also for mistakes.",
    refuse: (value) =>
      typeof value === "function" ? undefined : wrongKind("onError", "a function", value),
  },
  {
    name: "hardening",
    type: "Hardening | false",
    default: "false",
    text:
      "Finds mistakes and makes attacks harder: what `hardening()` of terrane/hardening answers. " +
      "See docs/hardening.md.",
    refuse: (value) => (value === false ? undefined : hardeningRefuse(value)),
  },
];

export interface AttachOptions {
  onError?: ErrorHandler | undefined;
  /** A source of this thread over the memory of the handle. */
  memory?: MemorySource | undefined;
  /** The hardened builds, for a heap of the js back end: `hardening()` without options. */
  hardening?: Hardening | false | undefined;
}

/** Every option of attachHeap; the rest is settled by the heap that the handle is of. */
export const attachOptions: OptionRow[] = heapOptions.filter(
  ({ name }) => name === "onError" || name === "memory" || name === "hardening",
);

function isMemory(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return value instanceof WebAssembly.Memory || ("grow" in value && "capabilities" in value);
}

function wrongBackEnd(value: unknown): Error {
  if (typeof value !== "string") return wrongKind("backend", '"wasm" or "js"', value);
  return new RangeError(`backend must be "wasm" or "js", not "${value}"`);
}

function hardeningRefuse(value: unknown): Error | undefined {
  if (typeof value === "object" && value !== null && "cores" in value) return undefined;
  return new TypeError(
    'hardening needs its builds: import { hardening } from "terrane/hardening" and give ' +
      "hardening(), or hardening({ features })",
  );
}

function wrongRelease(value: unknown): Error {
  if (typeof value !== "string") return wrongKind("release", '"auto" or a boolean', value);
  return new RangeError(`release must be "auto" or a boolean, not "${value}"`);
}

function wrongBytes(name: string, value: unknown): Error | undefined {
  if (typeof value !== "number") return wrongKind(name, "a number of bytes", value);
  if (Number.isInteger(value) && value >= 0 && value <= 2 ** 32) return undefined;
  return new RangeError(`${name} must be a whole number from 0 to 4294967296, not ${value}`);
}
