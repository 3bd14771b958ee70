/** The two back ends: an instance of core.wasm, or the core as JavaScript, over one source. */
import type { CoreExports } from "./core/contract.ts";
import { createCore } from "./embed/core-js.js";
import { coreWasm } from "./embed/core-wasm.js";
import { arrayBuffer, type MemorySource, wasmMemory } from "./memory/index.ts";
import { SLICE_BYTES } from "./memory/source.ts";

export type BackEnd = "wasm" | "js";

/** Called with an errno code (12 ENOMEM, 75 EOVERFLOW) and the size that could not be had. */
export type ErrorHandler = (code: number, size: number) => void;

let module: WebAssembly.Module | undefined;

/** What can be said of a memory that is made for a heap, in bytes. */
export interface NewMemory {
  offset?: number | undefined;
  initial?: number | undefined;
  maximum?: number | undefined;
}

/** core.wasm comes with the package's code: importing needs no file and no network. */
function coreModule(): WebAssembly.Module {
  module ??= new WebAssembly.Module(Uint8Array.from(atob(coreWasm), (c) => c.charCodeAt(0)));
  return module;
}

export function sourceDefault(backEnd: BackEnd, options: NewMemory): MemorySource {
  return backEnd === "wasm" ? wasmMemory(options) : arrayBuffer(options);
}

/** What a core asks of its place: see CoreHost. `onGrow` runs after each growth. */
export interface CoreSetting {
  source: MemorySource;
  /** Whether others may hold the source, and grow it. */
  foreign: boolean;
  onError: ErrorHandler;
  onGrow: () => void;
}

/**
 * A core bound to a source that has room for its state.
 *
 * @throws RangeError when the source has no room or the back end cannot use it.
 */
export function coreStart(backEnd: BackEnd, setting: CoreSetting): CoreExports {
  const { source } = setting;
  roomEnsure(source);
  const core = backEnd === "wasm" ? coreInstance(setting) : coreFactory(setting);
  core.heapInit(source.start, source.capabilities.zeroed);
  return core;
}

/** The state takes one slice from `start` on. */
function roomEnsure(source: MemorySource): void {
  const missing = source.start + SLICE_BYTES - source.buffer.byteLength;
  if (missing <= 0) return;
  if (source.grow(Math.ceil(missing / SLICE_BYTES)) !== 0) return;
  throw new RangeError(
    `${source.kind} of ${source.buffer.byteLength} bytes has no room for a heap at ${source.start}`,
  );
}

function growAndTell(setting: CoreSetting, slices: number): number {
  const answer = setting.source.grow(slices >>> 0);
  setting.onGrow();
  return answer;
}

function coreInstance(setting: CoreSetting): CoreExports {
  const { memory, capabilities, kind } = setting.source;
  if (!memory) throw new RangeError(`the wasm back end needs a WebAssembly.Memory, not ${kind}`);
  if (capabilities.shared) {
    throw new RangeError("the wasm back end cannot run over a shared memory yet; use backend: js");
  }
  const env = {
    memory,
    grow: (slices: number) => growAndTell(setting, slices),
    error: (code: number, size: number) => setting.onError(code >>> 0, size >>> 0),
  };
  return new WebAssembly.Instance(coreModule(), { env }).exports as unknown as CoreExports;
}

function coreFactory(setting: CoreSetting): CoreExports {
  const core = createCore({
    get buffer() {
      return setting.source.buffer;
    },
    grow: (slices) => growAndTell(setting, slices),
    error: setting.onError,
  });
  return setting.foreign && setting.source.capabilities.detaches ? refreshing(core) : core;
}

/**
 * When somebody else grows a memory that detaches, the JavaScript core is left with empty views and
 * would read undefined without an error. A default source has no somebody else, and needs no guard.
 */
function refreshing(core: CoreExports): CoreExports {
  const guard =
    (call: (...args: number[]) => unknown) => (a: number, b: number, c: number, d: number) => {
      core.memoryRefresh();
      return call(a, b, c, d);
    };
  const calls = Object.entries(core).map(([name, call]) => [name, guard(call)]);
  return Object.fromEntries(calls) as CoreExports;
}
