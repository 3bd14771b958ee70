/** The two back ends: an instance of core.wasm, or the core as JavaScript, over one source. */
import type { CoreExports, SharedCoreExports } from "./core/contract.ts";
import type { CoreHost } from "./core/glue.ts";
import { SHARED_STATE_SLICES } from "./core/layout.ts";
import { createCore } from "./embed/core-js.js";
import { createCore as createSharedCore } from "./embed/core-shared-js.js";
import { coreSharedWasm } from "./embed/core-shared-wasm.js";
import { coreWasm } from "./embed/core-wasm.js";
import { noThread } from "./errors.ts";
import { arrayBuffer, type MemorySource, sharedArrayBuffer, wasmMemory } from "./memory/index.ts";
import { SLICE_BYTES, sharedNeed, slicesFor } from "./memory/source.ts";
import { options, verboseSay, warningSay } from "./report.ts";

export type BackEnd = "wasm" | "js";

/** Called with an errno code (12 ENOMEM, 75 EOVERFLOW) and the size that could not be had. */
export type ErrorHandler = (code: number, size: number) => void;

const modules = new Map<string, WebAssembly.Module>();

/** What can be said of a memory that is made for a heap, in bytes. */
export interface NewMemory {
  offset?: number | undefined;
  initial?: number | undefined;
  maximum?: number | undefined;
  shared?: boolean | undefined;
}

/** The wasm comes with the package's code: importing needs no file and no network. */
function moduleOf(base64: string): WebAssembly.Module {
  const known = modules.get(base64);
  if (known) return known;
  const made = new WebAssembly.Module(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  modules.set(base64, made);
  return made;
}

/** The core for threads, compiled once in a thread. */
export function sharedModule(): WebAssembly.Module {
  return moduleOf(coreSharedWasm);
}

export function sourceDefault(backEnd: BackEnd, options: NewMemory): MemorySource {
  if (backEnd === "wasm") return wasmMemory(options);
  return options.shared ? sharedArrayBuffer(options) : arrayBuffer(options);
}

/** Whom a core tells. `onGrow` runs after each growth by this thread. */
export interface CoreHooks {
  onError: ErrorHandler;
  onGrow: () => void;
}

/** What a core asks of its place: see CoreHost. */
export interface CoreSetting extends CoreHooks {
  source: MemorySource;
  /** Whether others may hold the source, and grow it. */
  foreign: boolean;
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
  const core = backEnd === "wasm" ? coreInstance(setting, moduleOf(coreWasm)) : coreJs(setting);
  core.heapInit(source.start, source.capabilities.zeroed);
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
  const module = seat?.module ?? (backEnd === "wasm" ? sharedModule() : undefined);
  const core = module ? (coreInstance(setting, module) as SharedCoreExports) : sharedJs(setting);
  if (!seat) core.heapInit(source.start, source.capabilities.zeroed);
  else if (core.threadAttach(seat.start, seat.ticket) === 0) throw noThread(seat.ticket);
  return core;
}

function sharedCheck({ capabilities, memory, kind }: MemorySource): void {
  sharedNeed();
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

function growAndTell(setting: CoreSetting, slices: number): number {
  if (options.isEnabled("limitOsAlloc")) return 0;
  const answer = setting.source.grow(slices >>> 0);
  setting.onGrow();
  verboseSay(2, growthText(slices >>> 0, answer));
  return answer;
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
    error: (code: number, size: number) => setting.onError(code >>> 0, size >>> 0),
  };
  return new WebAssembly.Instance(module, { env }).exports as unknown as CoreExports;
}

function hostOf(setting: CoreSetting): CoreHost {
  return {
    get buffer() {
      return setting.source.buffer;
    },
    grow: (slices) => growAndTell(setting, slices),
    error: setting.onError,
  };
}

function coreJs(setting: CoreSetting): CoreExports {
  const core = createCore(hostOf(setting));
  const moves = setting.foreign && setting.source.capabilities.detaches;
  return moves ? refreshing(core, core.memoryRefresh) : core;
}

function sharedJs(setting: CoreSetting): SharedCoreExports {
  const core = createSharedCore(hostOf(setting));
  return setting.source.capabilities.canGrow ? refreshing(core, core.arenaReach) : core;
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
