/** What an instance of the core imports: over linear memory, or over an address space. */

import { wasmRefused } from "../../common/errors.ts";
import type { CoreHooks } from "../../heap/backend.ts";
import type { BackEnd } from "../../heap/calls/contract.ts";
import type { MemorySource } from "../../memory/index.ts";
import type { AddressSpace, Geometry, SizeClassCore } from "../core/contract.ts";
import { C_TOP, MAP_DONE, MAP_ELSEWHERE, MAP_REFUSED } from "../core/layout.ts";
import type { SpaceHost } from "../core/space.ts";
import { createCore as createJs } from "../embed/sizeclass-js.js";
import { createCore as createSharedJs } from "../embed/sizeclass-shared-js.js";
import { sizeclassSharedWasm } from "../embed/sizeclass-shared-wasm.js";
import { sizeclassWasm } from "../embed/sizeclass-wasm.js";
import { createCore as createWide } from "../embed/sizeclass-wide-js.js";

/** What the allocator does at events of the core. */
export interface SpaceHooks extends Omit<CoreHooks, "onReport"> {
  onMap(address: number, bytes: number): void;
  onUnmap(address: number, bytes: number): void;
  now(): number;
}

const SLICE = 65536;
const PAUSES = 50;
const modules = new Map<boolean, WebAssembly.Module>();

function moduleOf(shared: boolean): WebAssembly.Module {
  const known = modules.get(shared);
  if (known) return known;
  const base64 = shared ? sizeclassSharedWasm : sizeclassWasm;
  const made = compiled(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  modules.set(shared, made);
  return made;
}

function compiled(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  try {
    return new WebAssembly.Module(bytes);
  } catch (error) {
    throw wasmRefused(error);
  }
}

/** A word that is never notified: a wait for it is a pause. */
let pauseWord: Int32Array | undefined;

/** Whether to try for a lock again: for about 50 ms. Threads that must not sleep spin. */
function pause(rounds: number): boolean {
  if (rounds >= PAUSES) return false;
  pauseWord ??= new Int32Array(new SharedArrayBuffer(4));
  try {
    if (rounds > 0) Atomics.wait(pauseWord, 0, 0, 1);
  } catch {
    // The main thread of a browser must not wait: it spins.
  }
  return true;
}

/** Never 0, which means that there was no release yet. */
function clock(now: () => number): number {
  return (Math.floor(now()) % (2 ** 32 - 1)) + 1;
}

/** An instance over linear memory. `foreign`: code elsewhere may have the source, and grow it. */
export function linearCore(
  backend: BackEnd,
  source: MemorySource,
  foreign: boolean,
  geometry: Geometry,
  hooks: SpaceHooks,
): SizeClassCore {
  const { shared } = source.capabilities;
  const space = new LinearSpace(source, geometry, hooks);
  const host: SpaceHost = {
    get buffer() {
      return source.buffer;
    },
    grow: () => 0,
    pages: () => 0,
    error: (code, size) => hooks.onError(code >>> 0, size >>> 0),
    map: (address, bytes) => space.map(address >>> 0, bytes >>> 0),
    unmap: (address, bytes) => space.unmap(address >>> 0, bytes >>> 0),
    release: (address, bytes) => space.release(address >>> 0, bytes >>> 0),
    now: () => clock(hooks.now),
    pause: (rounds) => shared && pause(rounds >>> 0),
  };
  const core = backend === "wasm" ? wasmCore(host, source, shared) : jsCore(host, source, foreign);
  space.core = core;
  return core;
}

function wasmCore(host: SpaceHost, source: MemorySource, shared: boolean): SizeClassCore {
  if (!source.memory) {
    throw new RangeError(`the wasm back end needs a WebAssembly.Memory, not ${source.kind}`);
  }
  const { error, map, unmap, release, now, pause } = host;
  const env = { memory: source.memory, error, map, unmap, release, now, pause };
  const { exports } = new WebAssembly.Instance(moduleOf(shared), { env });
  return exports as unknown as SizeClassCore;
}

function jsCore(host: SpaceHost, { capabilities }: MemorySource, foreign: boolean): SizeClassCore {
  const { shared, canGrow, detaches } = capabilities;
  const core = shared ? createSharedJs(host) : createJs(host);
  return foreign && (shared ? canGrow : detaches) ? refreshing(core) : core;
}

/**
 * Refreshes views before each call: if the memory was grown elsewhere, they are empty, or too short
 * where it is shared.
 */
function refreshing(core: SizeClassCore): SizeClassCore {
  const guard =
    (call: (...args: number[]) => unknown) =>
    (...args: number[]) => {
      core.memoryRefresh();
      return call(...args);
    };
  const calls = Object.entries(core).map(([name, call]) => [name, guard(call)]);
  return Object.fromEntries(calls);
}

/** Maps ranges of linear memory: reserved regions exist from the beginning, the rest grows. */
export class LinearSpace {
  core: SizeClassCore | undefined;
  readonly #source: MemorySource;
  readonly #geometry: Geometry;
  readonly #hooks: SpaceHooks;

  constructor(source: MemorySource, geometry: Geometry, hooks: SpaceHooks) {
    this.#source = source;
    this.#geometry = geometry;
    this.#hooks = hooks;
  }

  map(address: number, bytes: number): number {
    const result = address < this.#geometry.large ? MAP_DONE : this.#growTo(address + bytes);
    if (result !== MAP_DONE) return result;
    if (this.#source.pages?.needsCommit && !this.#source.pages.commit(address, bytes)) {
      return MAP_REFUSED;
    }
    this.#hooks.onMap(address, bytes);
    return MAP_DONE;
  }

  /** Linear memory does not shrink: the range stays, and its pages return to the system. */
  unmap(address: number, bytes: number): void {
    this.#hooks.onUnmap(address, bytes);
    this.release(address, bytes);
  }

  release(address: number, bytes: number): void {
    const { pages } = this.#source;
    if (!pages?.decommit(address, bytes)) return;
    if (pages.needsCommit) pages.commit(address, bytes);
  }

  /** Grows the memory up to `end`; what other code grew meanwhile is marked as not ours. */
  #growTo(end: number): number {
    const core = this.core as SizeClassCore;
    const top = core.controlWord(C_TOP) >>> 0;
    if (end <= top * SLICE) return MAP_DONE;
    const grown = this.#source.grow(Math.ceil(end / SLICE) - top);
    if (grown === 0) return MAP_REFUSED;
    this.#hooks.onGrow();
    core.memoryRefresh();
    const from = grown & 0xffff;
    topWrite(this.#source, this.#geometry, from + (grown >>> 16));
    if (from === top) return MAP_DONE;
    this.#skip(top, from);
    return MAP_ELSEWHERE;
  }

  #skip(top: number, from: number): void {
    const { large, pageSize } = this.#geometry;
    const page = (top * SLICE - large) / pageSize;
    (this.core as SizeClassCore).largeMark(page, ((from - top) * SLICE) / pageSize, true);
  }
}

/** Records how many slices, from 0 on, the allocator may use. */
export function topWrite(source: MemorySource, { control }: Geometry, slices: number): void {
  new Uint32Array(source.buffer, control + C_TOP, 1)[0] = slices;
}

/** An instance over an address space. */
export function wideCore(space: AddressSpace, hooks: SpaceHooks): SizeClassCore {
  const host: SpaceHost & { space: AddressSpace } = {
    space,
    buffer: new ArrayBuffer(0),
    grow: () => 0,
    pages: () => 0,
    error: hooks.onError,
    map(address, bytes) {
      if (!space.map(address, bytes)) return MAP_REFUSED;
      hooks.onMap(address, bytes);
      return MAP_DONE;
    },
    unmap(address, bytes) {
      hooks.onUnmap(address, bytes);
      space.unmap(address, bytes);
    },
    release: (address, bytes) => space.release(address, bytes),
    now: () => clock(hooks.now),
    pause: () => false,
  };
  return createWide(host);
}

/** Gives an instance the geometry. */
export function coreBind(core: SizeClassCore, geometry: Geometry, rounded: number): void {
  const { map } = geometry;
  core.addressesBind(geometry.space, geometry.control, geometry.large);
  core.sizesBind(
    geometry.regionLog,
    geometry.arrayLog,
    geometry.metadataSize,
    geometry.granule,
    geometry.pageSize,
  );
  core.countsBind(rounded, geometry.threadSlots, geometry.cacheShift, geometry.largePages);
  if (geometry.mapRegions > 0) core.mapBind(geometry.mapRegions);
  core.behaviourBind(geometry.shuffle, geometry.seedsByAddress, geometry.keepsLast);
  core.classesBind(map.bits, map.minLog, map.midLog, map.maxLog);
}
