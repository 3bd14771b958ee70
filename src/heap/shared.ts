/** terrane/shared: heaps that threads share, each thread with a heap object of its own. */

import { noThread } from "../common/errors.ts";
import { optionsCheck } from "../common/option-table.ts";
import type { SharedCoreExports } from "../core/contract.ts";
import { coreSharedWasm } from "../core/embed/core-shared-wasm.js";
import { S_COMMIT_NEEDED, S_THREADS_PEAK, SHARED_STATE_SLICES } from "../core/layout/layout.ts";
import { type MemorySource, sharedArrayBuffer, tryOsPages, wasmMemory } from "../memory/index.ts";
import { requireShared } from "../memory/source.ts";
import { type CoreBuild, type CoreSetting, startCore, wordOf } from "./backend.ts";
import { handleCheck } from "./handle-check.ts";
import { hardHost } from "./hardening-host.ts";
import { observersOf } from "./hooks.ts";
import { type AttachOptions, attachChecks, heapChecks, type SharedHeapOptions } from "./options.ts";
import { buildOf, purgeOf, sourceOf } from "./setup.ts";
import { type HeapHandle, SharedHeap } from "./shared-heap.ts";
import { bindShared, sharedWasmBuild } from "./wasm-builds.ts";

export type { ThreadSeat } from "./backend.ts";
export type { SharedHardening } from "./hardening-features.ts";
export type {
  AttachOptions,
  MemoryOptions,
  SharedHeapOptions,
  SharedJavaScriptBackEnd,
} from "./options.ts";
export { type HeapHandle, SharedHeap, type SharedVisitOptions } from "./shared-heap.ts";

type SharedBuild = CoreBuild<SharedCoreExports>;

/**
 * A heap that threads share, over a new shared memory or over the one in the options. It runs on
 * WebAssembly, unless `backend` is `sharedJavascript` of terrane/javascript. Other threads attach
 * to it by attachHeap.
 *
 * @throws TypeError or RangeError for unknown options and values out of range.
 * @example
 * const heap = createSharedHeap();
 * const worker = heap.startWorker((handle) => new Worker(url, { workerData: handle }));
 */
export function createSharedHeap(options: SharedHeapOptions = {}): SharedHeap {
  optionsCheck(heapChecks(true), options);
  const { onError, maximum } = options;
  const build = buildOf(options, sharedWasmBuild(coreSharedWasm));
  const source = sourceOf(build, options);
  const { hardening } = build;
  const heap = new SharedHeap({
    backend: build.kind,
    source,
    onError,
    purge: purgeOf(options),
    maximum,
    hardening,
    module: build.compile?.(),
    start: (hooks) => startFirst(build, { source, foreign: true, hardening, ...hooks }),
  });
  observersOf(heap);
  return heap;
}

/**
 * This thread's heap over the memory of another thread's: `handle` is what its `handle()` returned,
 * as it arrived in a Worker. Ends with `detach()`, which a Worker of Node also does when it ends by
 * itself.
 *
 * @throws TypeError for what is not a handle, and for a heap of the JavaScript back end without the
 * option `backend`. RangeError for a handle of another version of terrane.
 * @throws HeapError ERR_NO_THREAD when 124 threads and heaps are attached, or the handle was made
 * for one thread that has attached already.
 * @example
 * const heap = createSharedHeap();
 * const mine = attachHeap(heap.handle()); // mostly in a Worker, with the handle that it was sent
 * heap.free(mine.malloc(100));
 * mine.detach();
 */
export function attachHeap(handle: HeapHandle, options: AttachOptions = {}): SharedHeap {
  optionsCheck(attachChecks(), options);
  handleCheck(handle);
  const { backend, maximum, hardening, module } = handle;
  const bind = joiningBuild(handle, options);
  const source = options.memory ?? sourceOfHandle(handle);
  const { memory, buffer } = handle;
  if (memory ? source.memory !== memory : source.buffer !== buffer) {
    throw new TypeError("memory must be a source over the handle's memory");
  }
  const heap = new SharedHeap({
    backend,
    source,
    onError: options.onError,
    maximum,
    hardening,
    module,
    handle,
    start: (hooks) => startJoining(bind, { source, foreign: true, hardening, ...hooks }, handle),
  });
  const observers = observersOf(heap);
  if (handle.statsLevel) observers.setLevel(handle.statsLevel, false);
  return heap.detachAtExit();
}

/** What releases in one thread does so in all, if koffi loads there. */
function sourceOfHandle(handle: HeapHandle): MemorySource {
  const { memory, buffer, start: offset, maximum, release } = handle;
  const source = memory
    ? wasmMemory({ memory, offset, maximum })
    : sharedArrayBuffer({ buffer, offset });
  return release ? tryOsPages(source) : source;
}

type Bind = SharedBuild["bind"];

/** A handle of the WebAssembly back end has the compiled core with it. */
function joiningBuild({ module, hardening }: HeapHandle, { backend }: AttachOptions): Bind {
  if (module) {
    return (setting) => bindShared(setting, module, hardening && hardHost(setting));
  }
  const build = backend as SharedBuild | undefined;
  if (!build || !build.hardening !== !hardening) throw wrongBuild(hardening !== undefined);
  if (build.hardening?.chosen) {
    throw new TypeError("features and seed are settled by the thread that made the heap");
  }
  return build.bind;
}

function wrongBuild(hardened: boolean): TypeError {
  const [kind, name, entry] = hardened
    ? ["hardened JavaScript", "sharedHardenedJavascript", "hardening"]
    : ["JavaScript", "sharedJavascript", "javascript"];
  return new TypeError(
    `the heap runs on the ${kind} back end: import { ${name} } from "terrane/${entry}" and ` +
      `attach with { backend: ${name}${hardened ? "()" : ""} }`,
  );
}

/** @throws RangeError when the source is not shared, can grow under threads, or has no space. */
function startFirst(build: SharedBuild, setting: CoreSetting): SharedCoreExports {
  checkShared(setting.source);
  return countThreads(startCore(build, setting, SHARED_STATE_SLICES), setting);
}

/** Of a thread that joins. @throws HeapError ERR_NO_THREAD when there is no thread slot left. */
function startJoining(bind: Bind, setting: CoreSetting, handle: HeapHandle): SharedCoreExports {
  checkShared(setting.source);
  checkPages(setting.source, handle.start);
  const core = bind(setting);
  if (core.threadAttach(handle.start, handle.ticket) === 0) throw noThread(handle.ticket);
  return countThreads(core, setting);
}

function checkShared({ capabilities, memory, kind }: MemorySource): void {
  requireShared();
  if (!capabilities.shared) {
    throw new RangeError(`createSharedHeap needs a shared memory: this ${kind} is not shared`);
  }
  // Only WebAssembly.Memory grows by one atomic step that tells who got what.
  if (!memory && capabilities.canGrow) {
    throw new RangeError("threads need a SharedArrayBuffer of a fixed size");
  }
}

/** A memory whose pages must be committed needs a source that can do it, in every thread. */
function checkPages(source: MemorySource, start: number): void {
  const needed = new Uint32Array(source.buffer, start + S_COMMIT_NEEDED, 1)[0] !== 0;
  if (!needed || source.pages?.needsCommit) return;
  throw new RangeError("the memory's pages must be committed: attach with a source that can");
}

/** Only a thread that comes can make the number of threads the largest so far. */
function countThreads(core: SharedCoreExports, { source }: CoreSetting): SharedCoreExports {
  const peak = wordOf(source, S_THREADS_PEAK);
  const now = core.threadCount();
  for (let seen = Atomics.load(peak, 0); now > seen; ) {
    const was = Atomics.compareExchange(peak, 0, seen, now);
    if (was === seen) break;
    seen = was;
  }
  return core;
}
