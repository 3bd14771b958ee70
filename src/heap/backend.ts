/** What every build of the core is bound to: a source of memory, hooks, and how it starts. */

import type { HeapErrorCode } from "../common/errors.ts";
import { logVerbose, logWarning, options } from "../common/log.ts";
import type { CoreExports, HardCoreExports } from "../core/contract.ts";
import {
  INIT_COMMITS,
  INIT_MOST_SHIFT,
  INIT_ZEROED,
  PAGES_COMMIT,
  PAGES_RESET,
  PAGES_ZERO,
  S_GROWTHS,
  S_TOP,
} from "../core/layout/layout.ts";
import type { CoreHost } from "../core/target/glue.ts";
import type { MemorySource } from "../memory/index.ts";
import { bufferReaching, SLICE_BYTES, SLICES_LIMIT, slicesFor } from "../memory/source.ts";
import type { BackEnd } from "./calls/contract.ts";
import type { HardenedStart } from "./hardening-features.ts";

/**
 * Called with an errno code, a number and a sentence. The number is the size that could not be had
 * (12 ENOMEM, 75 EOVERFLOW); of a heap with hardening also the pointer that a mistake was made with
 * (11 EAGAIN: double free, 14 EFAULT: overflow or a damaged list, 22 EINVAL: not a block).
 */
export type ErrorHandler = (code: number, value: number, text: string) => void;

/** What a core calls. `onGrow` runs after each growth by this thread. */
export interface CoreHooks {
  onError: (code: number, size: number) => void;
  onGrow: () => void;
  /** Of a hardened core. An exception may go through the core: it reports before it changes. */
  onReport: (mistake: Mistake) => void;
}

/** A mistake that a hardened core has found. */
export interface Mistake {
  /** For a handler. */
  readonly errno: number;
  /** Of the HeapError, when there is no handler. */
  readonly code: HeapErrorCode;
  readonly ptr: number;
  /** The sentence of it. */
  readonly text: string;
}

/** What a core is bound to. */
export interface CoreSetting extends CoreHooks {
  source: MemorySource;
  /** Whether others may hold the source, and grow it. */
  foreign: boolean;
  /** Undefined: an unhardened core. */
  hardening?: HardenedStart | undefined;
}

/** The size of a memory that is made for a heap, in bytes. */
export interface NewMemory {
  offset?: number | undefined;
  initial?: number | undefined;
  maximum?: number | undefined;
}

/** A build of the core: one back end, for one thread or for threads, hardened or not. */
export interface CoreBuild<Core extends CoreExports = CoreExports> {
  readonly kind: BackEnd;
  /** Whether it is for threads. */
  readonly shared: boolean;
  /** Undefined: an unhardened build. */
  readonly hardening?: HardenedStart | undefined;
  /** The memory of a heap that is given none. */
  createSource(options: NewMemory): MemorySource;
  /** A core over the source of the setting, before it is initialised. */
  bind(setting: CoreSetting): Core;
  /** The compiled core, of a WebAssembly build for threads. */
  compile?(): WebAssembly.Module;
}

/** What a hardened build has besides. */
export interface HardenedBuild {
  readonly start: HardenedStart;
  /** The functions that only a hardened core calls: hardHost. */
  host(setting: CoreSetting): object;
}

/** Where a thread that joins finds the state, and its thread id. */
export interface ThreadSeat {
  /** Address of the state. */
  readonly start: number;
  /** An id that only this thread has, or 0: it draws one. */
  readonly ticket: number;
  /** The core, compiled by the thread that sent this. */
  readonly module?: WebAssembly.Module;
}

/**
 * A core whose state takes the first `slices` of its source.
 *
 * @throws RangeError when the source has no space for the state, or the build cannot use it.
 */
export function startCore<Core extends CoreExports>(
  build: CoreBuild<Core>,
  setting: CoreSetting,
  slices: number,
): Core {
  const { source } = setting;
  ensureSpace(source, slices);
  const core = build.bind(setting);
  core.heapInit(source.start, initFlags(source, slices));
  beginHardening(core, setting);
  return core;
}

/** The state takes some slices from `start` on; what the options ask for comes after it. */
function ensureSpace(source: MemorySource, slices: number): void {
  const missing = source.start + slices * SLICE_BYTES - source.buffer.byteLength;
  if (missing > 0 && source.grow(slicesFor(missing)) === 0) {
    const { kind, buffer, start } = source;
    throw new RangeError(
      `${kind} of ${buffer.byteLength} bytes has no space for a heap at ${start}`,
    );
  }
  const reserve = options.getSize("reserveOsMemory");
  if (reserve !== 0 && source.grow(slicesFor(reserve)) === 0) {
    logWarning(`unable to reserve ${reserve / 1024} KiB for a heap`);
  }
}

/** The most slices that a memory can have; if it does not say, as many as it can address. */
function slicesMost({ maximum, capabilities, buffer }: MemorySource): number {
  const most = maximum ?? (capabilities.canGrow ? SLICES_LIMIT * SLICE_BYTES : buffer.byteLength);
  return Math.min(Math.floor(most / SLICE_BYTES), SLICES_LIMIT);
}

/** Commits the state, which the core cannot, and returns what else the core must know. */
function initFlags(source: MemorySource, slices: number): number {
  const flags =
    ((slicesMost(source) << INIT_MOST_SHIFT) | (source.capabilities.zeroed ? INIT_ZEROED : 0)) >>>
    0;
  if (!source.pages?.needsCommit) return flags;
  if (source.pages.commit(source.start, slices * SLICE_BYTES)) return (flags | INIT_COMMITS) >>> 0;
  throw new RangeError(`${source.kind} cannot commit the first ${slices * SLICE_BYTES} bytes`);
}

function beginHardening(core: CoreExports, { hardening, source }: CoreSetting): void {
  if (hardening?.bits === undefined) return;
  const guard = source.capabilities.canProtect ? (source.pages?.pageBytes ?? 0) : 0;
  (core as HardCoreExports).hardeningBegin(hardening.bits, guard);
}

/** What the core asks of the memory's pages. */
function servePages(source: MemorySource, operation: number, at: number, size: number): number {
  const [address, bytes] = [at >>> 0, size >>> 0];
  if (operation === PAGES_ZERO) {
    new Uint8Array(source.buffer, address, bytes).fill(0);
    return 1;
  }
  const { pages } = source;
  if (!pages) return 0;
  if (operation === PAGES_COMMIT) return Number(pages.commit(address, bytes));
  if (operation === PAGES_RESET) return Number(pages.reset(address, bytes));
  return Number(pages.decommit(address, bytes));
}

function growSource(setting: CoreSetting, slices: number): number {
  if (options.isEnabled("limitOsAlloc")) return 0;
  const granted = setting.source.grow(slices >>> 0);
  setting.onGrow();
  if (granted !== 0) Atomics.add(wordOf(setting.source, S_GROWTHS), 0, 1);
  logVerbose(2, growthText(slices >>> 0, granted));
  return granted;
}

function growthText(slices: number, granted: number): string {
  if (granted === 0) return `the memory does not grow by ${slices * 64} KiB`;
  return `the memory has grown by ${(granted >>> 16) * 64} KiB at 64 KiB * ${granted & 0xffff}`;
}

/** A word of the state, as an array of one. */
export function wordOf({ buffer, start }: MemorySource, offset: number): Uint32Array {
  return new Uint32Array(buffer, start + offset, 1);
}

/** The functions that a core calls. */
export function hostOf(setting: CoreSetting): CoreHost {
  return {
    get buffer() {
      return setting.source.buffer;
    },
    grow: (slices) => growSource(setting, slices),
    pages: (operation, address, bytes) => servePages(setting.source, operation, address, bytes),
    error: (code, size) => setting.onError(code >>> 0, size >>> 0),
  };
}

/** As hostOf, where other threads grow the memory and the engine may tell this one late. */
export function hostReaching(setting: CoreSetting): CoreHost {
  const { source } = setting;
  const least = () => (wordOf(source, S_TOP)[0] as number) * SLICE_BYTES;
  return Object.defineProperty(hostOf(setting), "buffer", {
    get: () => bufferReaching(source, least()),
  });
}
