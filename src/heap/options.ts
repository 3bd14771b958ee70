/** The options of createHeap, createSharedHeap and attachHeap, and what is checked of each. */

import { wrongKind } from "../common/errors.ts";
import type { OptionCheck } from "../common/option-table.ts";
import type { MemorySource, Releasing } from "../memory/index.ts";
import { releaseError } from "../memory/release-option.ts";
import { bytesError, memoryError } from "../memory/source.ts";
import type { ErrorHandler } from "./backend.ts";
import type { Hardening, SharedHardening } from "./hardening-features.ts";
import { purgeError } from "./purge-settings.ts";

/**
 * A value for the option `backend` of createHeap: `javascript` of terrane/javascript, or
 * `hardenedJavascript()` of terrane/hardening.
 */
export interface JavaScriptBackEnd {
  /** What `heap.backend` is. */
  readonly kind: "js";
  /** It is for one thread. */
  readonly shared: false;
}

/**
 * A value for the option `backend` of createSharedHeap and attachHeap: `sharedJavascript` of
 * terrane/javascript, or `sharedHardenedJavascript()` of terrane/hardening.
 */
export interface SharedJavaScriptBackEnd {
  /** What `heap.backend` is. */
  readonly kind: "js";
  /** It is for threads. */
  readonly shared: true;
}

/** What createHeap and createSharedHeap have in common. */
export interface MemoryOptions {
  /**
   * Where bytes come from: a WebAssembly.Memory of the caller's, of which the heap takes what lies
   * behind `offset`, or a source of terrane/memory. Default: a new memory.
   */
  memory?: WebAssembly.Memory | MemorySource | undefined;
  /**
   * First byte of the memory that the heap may use: 0 to 4294967296, rounded up to 64 KiB.
   * Default: the current end of a WebAssembly.Memory that is given; 65536 in a new memory.
   */
  offset?: number | undefined;
  /**
   * Bytes of a new memory that are there at once: 0 to 4294967296, rounded up to 64 KiB. Default:
   * 131072.
   */
  initial?: number | undefined;
  /**
   * Bytes that the memory grows to at most: 0 to 4294967296, rounded down to 64 KiB. Then
   * allocation returns 0. Default: 4 GiB less 64 KiB; of a SharedArrayBuffer 64 MiB.
   */
  maximum?: number | undefined;
  /**
   * Gives free memory back to the operating system: `tryOsPages` of terrane/memory, where that can
   * be done, or `withOsPages`, which throws where it cannot. docs/guide/os-pages.md tells what it
   * needs. Default: false.
   */
  release?: Releasing | false | undefined;
  /**
   * Ticks from a free until the memory is given back, if it can be: 0 to 1000000, 0 = at once;
   * -1 = never. A tick is 4096 passes of malloc's generic path, or a call of `heap.purge()`.
   * Default: 10, or what the process option of that name says.
   */
  purgeDelay?: number | undefined;
  /**
   * Ticks by which another free nearby delays that, at most to twice the delay: 0 to 1000000.
   * Default: 1, or what the process option of that name says.
   */
  purgeExtendDelay?: number | undefined;
  /**
   * By which factor the memory of an arena waits longer: 0 to 1000. Default: 10, or what the
   * process option of that name says.
   */
  arenaPurgeMult?: number | undefined;
  /**
   * Whether giving back decommits; else the system is only told that the contents do not matter.
   * Default: true, or what the process option of that name says.
   */
  purgeDecommits?: boolean | undefined;
  /**
   * Fills free memory that cannot be given back with zeros when its delay is over, so that calloc
   * need not. Default: false.
   */
  purgeZeroes?: boolean | undefined;
  /**
   * Called when a request fails, with an errno code, the size and a sentence: 12 = out of memory,
   * 75 = request too large. With hardening also for mistakes: see docs/guide/hardening.md. Default:
   * none.
   */
  onError?: ErrorHandler | undefined;
}

/** The options of createHeap. */
export interface HeapOptions extends MemoryOptions {
  /**
   * `javascript` of terrane/javascript, for places where WebAssembly may not run. Default:
   * WebAssembly.
   */
  backend?: JavaScriptBackEnd | undefined;
  /**
   * Finds mistakes and makes attacks harder: `hardening()` of terrane/hardening. A heap of the
   * JavaScript back end is hardened by `backend: hardenedJavascript()`. Default: false.
   */
  hardening?: Hardening | false | undefined;
}

/** The options of createSharedHeap. */
export interface SharedHeapOptions extends MemoryOptions {
  /**
   * `sharedJavascript` of terrane/javascript, for places where WebAssembly may not run. Default:
   * WebAssembly.
   */
  backend?: SharedJavaScriptBackEnd | undefined;
  /**
   * Finds mistakes and makes attacks harder: `sharedHardening()` of terrane/hardening. A heap of
   * the JavaScript back end is hardened by `backend: sharedHardenedJavascript()`. Default: false.
   */
  hardening?: SharedHardening | false | undefined;
}

/** The options of attachHeap; everything else is settled by the heap that the handle is of. */
export interface AttachOptions {
  /**
   * `sharedJavascript` of terrane/javascript, or `sharedHardenedJavascript()` of terrane/hardening:
   * what the heap was created with. A heap of the WebAssembly back end ignores it, since its handle
   * brings the compiled core. Default: none.
   */
  backend?: SharedJavaScriptBackEnd | undefined;
  /** A source of this thread over the memory of the handle. Default: one that is made for it. */
  memory?: MemorySource | undefined;
  /** As the option of createHeap, for requests of this thread. Default: none. */
  onError?: ErrorHandler | undefined;
}

/** What is checked of the options of createHeap, or of createSharedHeap. */
export function heapChecks(shared: boolean): OptionCheck[] {
  return [
    memoryCheck,
    ...["offset", "initial", "maximum"].map((name) => ({
      name,
      refuse: (value: unknown) => bytesError(name, value),
    })),
    { name: "release", refuse: releaseError },
    ...purgeNames.map((name) => ({ name, refuse: (value: unknown) => purgeError(name, value) })),
    errorCheck,
    { name: "backend", refuse: (value) => backendError(value, shared) },
    { name: "hardening", refuse: (value) => hardeningError(value, shared) },
  ];
}

const purgeNames = [
  "purgeDelay",
  "purgeExtendDelay",
  "arenaPurgeMult",
  "purgeDecommits",
  "purgeZeroes",
] as const;

const memoryCheck: OptionCheck = {
  name: "memory",
  refuse: memoryError,
};

const errorCheck: OptionCheck = {
  name: "onError",
  refuse: (value) =>
    typeof value === "function" ? undefined : wrongKind("onError", "a function", value),
};

/** What is checked of the options of attachHeap. */
export function attachChecks(): OptionCheck[] {
  return [
    { name: "backend", refuse: (value) => backendError(value, true) },
    memoryCheck,
    errorCheck,
  ];
}

/** What createHeap was given is a build of the core, for one thread or for threads. */
interface GivenBuild {
  readonly kind?: unknown;
  readonly shared?: unknown;
  readonly bind?: unknown;
}

function isBuild(value: unknown): value is GivenBuild {
  return typeof value === "object" && typeof (value as GivenBuild | null)?.bind === "function";
}

function backendError(value: unknown, shared: boolean): Error | undefined {
  if (isBuild(value) && value.kind === "js" && value.shared === shared) return undefined;
  if (value === "wasm") {
    return new TypeError('backend "wasm" is the default: leave the option out');
  }
  const name = shared ? "sharedJavascript" : "javascript";
  return new TypeError(
    `backend must be a value that is imported, not ${given(value)}: ` +
      `import { ${name} } from "terrane/javascript" and give { backend: ${name} }`,
  );
}

function hardeningError(value: unknown, shared: boolean): Error | undefined {
  if (value === false) return undefined;
  if (isBuild(value) && value.kind === "wasm" && value.shared === shared) return undefined;
  const name = shared ? "sharedHardening" : "hardening";
  return new TypeError(
    `hardening must be a value that is imported, not ${given(value)}: ` +
      `import { ${name} } from "terrane/hardening" and give { hardening: ${name}() }`,
  );
}

/** A wrong value in words. */
function given(value: unknown): string {
  if (typeof value === "string") return `"${value}"`;
  if (isBuild(value)) return value.shared ? "one for threads" : "one for a single thread";
  return value === null ? "null" : typeof value;
}
