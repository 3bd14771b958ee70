/** The two back ends: an instance of core.wasm, or the core as JavaScript, over one source. */

import { noThread } from "../common/errors.ts";
import { options, verboseSay, warningSay } from "../common/log.ts";
import type { CoreExports, HardCoreExports, SharedCoreExports } from "../core/contract.ts";
import { createCore } from "../core/embed/core-js.js";
import { createCore as createSharedCore } from "../core/embed/core-shared-js.js";
import { coreSharedWasm } from "../core/embed/core-shared-wasm.js";
import { coreWasm } from "../core/embed/core-wasm.js";
import {
  INIT_COMMITS,
  INIT_ZEROED,
  PAGES_COMMIT,
  PAGES_RESET,
  PAGES_ZERO,
  S_COMMIT_NEEDED,
  S_GROWTHS,
  S_THREADS_PEAK,
  S_TOP,
  SHARED_STATE_SLICES,
} from "../core/layout/layout.ts";
import type { CoreHost } from "../core/target/glue.ts";
import type { HardHost } from "../core/target/glue-hard.ts";
import type { MemorySource } from "../memory/index.ts";
import { bufferReaching, requireShared, SLICE_BYTES, slicesFor } from "../memory/source.ts";
import type { BackEnd } from "./calls/contract.ts";
import { type CoreReport, coresNeed, type HardenedStart, randomOf } from "./hardening-features.ts";

/**
 * Called with an errno code, a number and a sentence. The number is the size that could not be had
 * (12 ENOMEM, 75 EOVERFLOW); of a heap with hardening also the pointer that a mistake was made with
 * (11 EAGAIN: double free, 14 EFAULT: overflow or a damaged list, 22 EINVAL: no block).
 */
export type ErrorHandler = (code: number, value: number, text: string) => void;

const modules = new Map<string, WebAssembly.Module>();

/** The wasm comes with the package's code: importing needs no file and no network. */
function moduleOf(base64: string): WebAssembly.Module {
  const known = modules.get(base64);
  if (known) return known;
  const made = new WebAssembly.Module(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  modules.set(base64, made);
  return made;
}

/** The core for threads, compiled once in a thread. */
export function sharedModule(hardening: HardenedStart | undefined): WebAssembly.Module {
  return moduleOf(hardening ? coresNeed(hardening).sharedWasm : coreSharedWasm);
}

/** Whom a core tells. `onGrow` runs after each growth by this thread. */
export interface CoreHooks {
  onError: (code: number, size: number) => void;
  onGrow: () => void;
  /** Of a hardened core. */
  onReport: (report: CoreReport) => void;
}

/** What a core asks of its place: see CoreHost. */
interface CoreSetting extends CoreHooks {
  source: MemorySource;
  /** Whether others may hold the source, and grow it. */
  foreign: boolean;
  /** Undefined: the plain core. */
  hardening?: HardenedStart | undefined;
}

/** Where a thread that joins finds the state, and as whom it comes. */
export interface ThreadSeat {
  /** Address of the state. */
  readonly start: number;
  /** A ticket that only this thread has, or 0: it draws one. */
  readonly ticket: number;
  /** The core, compiled by the thread that sent this. */
  readonly module?: WebAssembly.Module;
}

/**
 * A core bound to a source that has room for its state.
 *
 * @throws RangeError when the source has no room or the back end cannot use it.
 */
export function coreStart(backEnd: BackEnd, setting: CoreSetting): CoreExports {
  const { source } = setting;
  if (backEnd === "wasm" && source.capabilities.shared) {
    throw new RangeError("a shared memory needs shared: true");
  }
  roomEnsure(source, 1);
  const wasm = setting.hardening ? coresNeed(setting.hardening).wasm : coreWasm;
  const core = backEnd === "wasm" ? coreInstance(setting, moduleOf(wasm)) : coreJs(setting);
  core.heapInit(source.start, initFlags(source, 1));
  hardeningStart(core, setting);
  return core;
}

/**
 * The core for threads: the first of its memory, or bound to the state at the seat of one that
 * joins.
 *
 * @throws RangeError when the source is not shared, may not grow under threads, or has no room.
 * @throws HeapError ERR_NO_THREAD when there is no place for another thread.
 */
export function sharedStart(
  backEnd: BackEnd,
  setting: CoreSetting,
  seat?: ThreadSeat,
): SharedCoreExports {
  const { source } = setting;
  sharedCheck(source);
  if (!seat) roomEnsure(source, SHARED_STATE_SLICES);
  else pagesEnsure(source, seat.start);
  const own = () => (backEnd === "wasm" ? sharedModule(setting.hardening) : undefined);
  const module = seat?.module ?? own();
  const core = module ? (coreInstance(setting, module) as SharedCoreExports) : sharedJs(setting);
  if (seat && core.threadAttach(seat.start, seat.ticket) === 0) throw noThread(seat.ticket);
  if (!seat) {
    core.heapInit(source.start, initFlags(source, SHARED_STATE_SLICES));
    hardeningStart(core, setting);
  }
  threadsCount(source, core.threadCount());
  return core;
}

function sharedCheck({ capabilities, memory, kind }: MemorySource): void {
  requireShared();
  if (!capabilities.shared) {
    throw new RangeError(`shared: true needs a shared memory, not ${kind} that is not shared`);
  }
  // Only WebAssembly.Memory grows by one atomic step that tells who got what.
  if (!memory && capabilities.canGrow) {
    throw new RangeError("threads need a SharedArrayBuffer of a fixed size");
  }
}

/** The state takes some slices from `start` on; what the options say comes behind it. */
function roomEnsure(source: MemorySource, slices: number): void {
  const missing = source.start + slices * SLICE_BYTES - source.buffer.byteLength;
  if (missing > 0 && source.grow(slicesFor(missing)) === 0) {
    const { kind, buffer, start } = source;
    throw new RangeError(
      `${kind} of ${buffer.byteLength} bytes has no room for a heap at ${start}`,
    );
  }
  const reserve = options.getSize("reserveOsMemory");
  if (reserve !== 0 && source.grow(slicesFor(reserve)) === 0) {
    warningSay(`unable to reserve ${reserve / 1024} KiB for a heap`);
  }
}

/** Commits the state, which the core cannot, and tells what else the core must know. */
function initFlags(source: MemorySource, slices: number): number {
  const zeroed = source.capabilities.zeroed ? INIT_ZEROED : 0;
  if (!source.pages?.needsCommit) return zeroed;
  if (source.pages.commit(source.start, slices * SLICE_BYTES)) return zeroed | INIT_COMMITS;
  throw new RangeError(`${source.kind} cannot commit the first ${slices * SLICE_BYTES} bytes`);
}

/** A memory whose pages must be committed needs a source that can do it, in every thread. */
function pagesEnsure(source: MemorySource, start: number): void {
  const needed = new Uint32Array(source.buffer, start + S_COMMIT_NEEDED, 1)[0] !== 0;
  if (!needed || source.pages?.needsCommit) return;
  throw new RangeError("the memory's pages must be committed: attach with a source that can");
}

/** What the core asks of the memory's pages. */
function pagesServe(source: MemorySource, operation: number, at: number, size: number): number {
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

function growAndTell(setting: CoreSetting, slices: number): number {
  if (options.isEnabled("limitOsAlloc")) return 0;
  const answer = setting.source.grow(slices >>> 0);
  setting.onGrow();
  if (answer !== 0) Atomics.add(wordOf(setting.source, S_GROWTHS), 0, 1);
  verboseSay(2, growthText(slices >>> 0, answer));
  return answer;
}

/** A word of the state, as an array of one. */
function wordOf({ buffer, start }: MemorySource, offset: number): Uint32Array {
  return new Uint32Array(buffer, start + offset, 1);
}

/** Only a thread that comes can make the number of threads the largest so far. */
function threadsCount(source: MemorySource, now: number): void {
  const peak = wordOf(source, S_THREADS_PEAK);
  for (let seen = Atomics.load(peak, 0); now > seen; ) {
    const was = Atomics.compareExchange(peak, 0, seen, now);
    if (was === seen) return;
    seen = was;
  }
}

function growthText(slices: number, answer: number): string {
  if (answer === 0) return `the memory does not grow by ${slices * 64} KiB`;
  return `the memory has grown by ${(answer >>> 16) * 64} KiB at 64 KiB * ${answer & 0xffff}`;
}

function coreInstance(setting: CoreSetting, module: WebAssembly.Module): CoreExports {
  const { memory, kind } = setting.source;
  if (!memory) throw new RangeError(`the wasm back end needs a WebAssembly.Memory, not ${kind}`);
  const env = {
    memory,
    grow: (slices: number) => growAndTell(setting, slices),
    pages: (operation: number, address: number, bytes: number) =>
      pagesServe(setting.source, operation, address, bytes),
    error: (code: number, size: number) => setting.onError(code >>> 0, size >>> 0),
    ...hardHost(setting),
  };
  return new WebAssembly.Instance(module, { env }).exports as unknown as CoreExports;
}

function hostOf(setting: CoreSetting): CoreHost {
  return {
    get buffer() {
      return setting.source.buffer;
    },
    grow: (slices) => growAndTell(setting, slices),
    pages: (operation, address, bytes) => pagesServe(setting.source, operation, address, bytes),
    error: setting.onError,
  };
}

/** As hostOf, where other threads grow the memory and the engine may be late to tell. */
function hostReaching(setting: CoreSetting): CoreHost {
  const { source } = setting;
  const least = () => (wordOf(source, S_TOP)[0] as number) * SLICE_BYTES;
  return Object.defineProperty(hostOf(setting), "buffer", {
    get: () => bufferReaching(source, least()),
  });
}

/** What only a hardened core asks for. */
function hardHost(setting: CoreSetting): Omit<HardHost, keyof CoreHost> {
  const { source } = setting;
  const fill = randomOf(setting.hardening?.seed);
  return {
    random: (at, count) => {
      const words = new Uint32Array(count);
      const strong = fill(words);
      new Uint32Array(source.buffer, at >>> 0, count).set(words);
      return strong;
    },
    report: (kind, p, a, b) =>
      setting.onReport({ kind: kind >>> 0, ptr: p >>> 0, a: a >>> 0, b: b >>> 0 }),
    protect: (p, size, on) =>
      void source.pages?.[on ? "protect" : "unprotect"](p >>> 0, size >>> 0),
  };
}

/** `buffer` must stay a getter. */
function withHard(host: CoreHost, setting: CoreSetting): HardHost {
  return Object.assign(host, hardHost(setting));
}

function hardeningStart(core: CoreExports, { hardening, source }: CoreSetting): void {
  if (hardening?.bits === undefined) return;
  const guard = source.capabilities.canProtect ? (source.pages?.pageBytes ?? 0) : 0;
  (core as HardCoreExports).hardeningBegin(hardening.bits, guard);
}

function coreJs(setting: CoreSetting): CoreExports {
  const host = hostOf(setting);
  const { hardening } = setting;
  const core = hardening
    ? coresNeed(hardening).js(withHard(host, setting) as never)
    : createCore(host);
  const moves = setting.foreign && setting.source.capabilities.detaches;
  return moves ? refreshing(core, core.memoryRefresh) : core;
}

function sharedJs(setting: CoreSetting): SharedCoreExports {
  const host = hostReaching(setting);
  const { hardening } = setting;
  const core = hardening
    ? coresNeed(hardening).sharedJs(withHard(host, setting) as never)
    : createSharedCore(host);
  return setting.source.capabilities.canGrow ? refreshing(core, core.stateReach) : core;
}

/**
 * When somebody else grows the memory, the JavaScript core is left with views that are empty, or
 * short if the memory is shared, and would read undefined without an error. A default source has no
 * somebody else, and needs no guard.
 */
function refreshing<C extends CoreExports>(core: C, refresh: () => void): C {
  const guard =
    (call: (...args: number[]) => unknown) => (a: number, b: number, c: number, d: number) => {
      refresh();
      return call(a, b, c, d);
    };
  const calls = Object.entries(core).map(([name, call]) => [name, guard(call)]);
  return Object.fromEntries(calls) as C;
}
