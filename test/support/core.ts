/** Cores for tests: both back ends, with validity checks, over a memory that tests can read. */
import { readFileSync } from "node:fs";
import type { HardCoreExports, SharedCoreExports } from "#src/core/contract.js";
import * as L from "#src/core/layout/layout.js";
import type { CoreHost } from "#src/core/target/glue.js";
import type { HardHost } from "#src/core/target/glue-hard.js";
import type { MemorySource } from "#src/memory/index.js";

/** The check builds also export checks and internals; all of them return numbers or booleans. */
export interface CheckedCore extends SharedCoreExports, HardCoreExports {
  heapIsValid(): boolean | number;
  stateIsValid(): boolean | number;
  pageIsValid(page: number): boolean | number;
  queueIsValid(bin: number): boolean | number;
  pageOf(p: number): number;
  pageCapacity(page: number): number;
  binOf(size: number): number;
  binSize(bin: number): number;
  spanBin(slices: number): number;
  slicesAlloc(count: number, alignment: number): number;
  slicesFree(owner: number, slice: number, count: number): void;
  /** Only in the shared build. */
  purgeTick(): void;
  committedIsValid(): boolean | number;
  slicesFreeCount(): number;
  lostCollect(): number;
  /** Only in the hardened build for one thread. */
  quarterRound(at: number, a: number, b: number, c: number, d: number): void;
  chachaInit(context: number, key: number, nonce: number, nonceHigh: number): void;
  chachaBlock(context: number): void;
  chachaNext(context: number): number;
  chachaSplit(context: number, to: number, nonce: number, nonceHigh: number): void;
  chachaIsValid(context: number): boolean | number;
  encode(nothing: number, p: number, key0: number, key1: number): number;
  decode(nothing: number, word: number, key0: number, key1: number): number;
  shuffle32(word: number): number;
  randomNext(): number;
}

/** The features of a hardened core, and the seed of its random words. */
export interface HardSetting {
  bits: number;
  seed?: number;
  /** Bytes of a guard page. */
  guard?: number;
}

export type BackEnd = "wasm" | "js";
export const backEnds: BackEnd[] = ["wasm", "js"];

/** The core for one thread, and the core for threads that share a memory. */
export type Build = "single" | "shared";
export const builds: Build[] = ["single", "shared"];

export interface CoreSubject {
  backEnd: BackEnd;
  build: Build;
  /** Undefined: the unhardened core. */
  hard: HardSetting | undefined;
  /** The reports of a hardened core: [kind, pointer, a, b]. */
  reports: [number, number, number, number][];
  /** Inaccessible guards: first byte and number of bytes. */
  guards: Map<number, number>;
  /** Whether the host has random words. */
  random: boolean;
  /** Results are unsigned: addresses above 2 GiB are not negative, true is 1. */
  core: CheckedCore;
  /** Where the state begins. */
  base: number;
  memory: WebAssembly.Memory;
  /** Current words of the memory, indexed by address / 4. */
  words(): Uint32Array;
  bytes(): Uint8Array;
  /** The word at an address plus an offset, for example D_RETIRE of a page. */
  word(address: number, offset?: number): number;
  /** A word of the state, or of the heap that the first instance made. */
  state(offset: number): number;
  heap(offset: number): number;
  /** Every error that was raised: [code, size]. */
  errors: [number, number][];
  /** Gets each error first; if it returns true, the error is not added to `errors`. */
  errorCall(code: number, value: number): boolean;
  /**
   * Every call of the host's `pages`: [operation, address, bytes]; pageCall returns the results.
   */
  pages: [number, number, number][];
  pageCall(operation: number, address: number, bytes: number): boolean;
  /** Number of requested growths; those from refuseFrom to refuseTo (1-based) are refused. */
  growths: number;
  refuseFrom: number;
  refuseTo: number;
}

const checked = new URL("../../check/", import.meta.url);

function checkedModule(name: string): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL(name, checked)));
}

/** The factories are built by rollup and have no declarations; tsc does not resolve a variable. */
async function checkedFactory(name: string): Promise<(host: CoreHost) => CheckedCore> {
  return (await import(new URL(name, checked).href)).createCore;
}

const modules = {
  single: checkedModule("core.wasm"),
  shared: checkedModule("core-shared.wasm"),
  singleHard: checkedModule("core-hard.wasm"),
  sharedHard: checkedModule("core-shared-hard.wasm"),
};
const factories = {
  single: await checkedFactory("core.js"),
  shared: await checkedFactory("core-shared.js"),
  singleHard: await checkedFactory("core-hard.js"),
  sharedHard: await checkedFactory("core-shared-hard.js"),
};

function kindOf({ build, hard }: CoreSubject): keyof typeof modules {
  return hard ? `${build}Hard` : build;
}

/**
 * A core whose state begins at `base` (a multiple of 64 KiB) in a memory that can grow to
 * `maximum` slices behind it.
 */
export function coreSubject(
  backEnd: BackEnd,
  maximum = 4096,
  base = 0,
  build: Build = "single",
  hard?: HardSetting,
): CoreSubject {
  const first = base / L.SLICE_SIZE;
  const memory = new WebAssembly.Memory({
    initial: first + (build === "shared" ? L.SHARED_STATE_SLICES : 1),
    maximum: Math.min(65536, first + maximum),
    shared: build === "shared",
  });
  return coreOver(backEnd, memory, base, true, build, hard);
}

/** A core over an existing memory; `zeroed` as in heapInit. */
export function coreOver(
  backEnd: BackEnd,
  memory: WebAssembly.Memory,
  base: number,
  zeroed: boolean,
  build: Build = "single",
  hard?: HardSetting,
): CoreSubject {
  const about = { backEnd, build, hard, base, memory };
  const subject = { ...about, ...windows(memory, base, build) } as CoreSubject;
  coreStart(subject);
  subject.core.heapInit(base, Number(zeroed));
  if (hard) subject.core.hardeningBegin(hard.bits, hard.guard ?? 0);
  return subject;
}

/** Another instance, of any back end, over the state that another instance made. */
export function coreAttached(backEnd: BackEnd, to: CoreSubject): CoreSubject {
  const { memory, base, build, hard } = to;
  const about = { backEnd, build, hard, base, memory };
  const subject = { ...about, ...windows(memory, base, build) } as CoreSubject;
  coreStart(subject);
  if (build === "single") subject.core.heapAttach(base);
  else subject.core.threadAttach(base, 0);
  return subject;
}

/** A check build, as one more thread of a shared heap that the package has made. */
export function coreOn(backEnd: BackEnd, source: MemorySource, hard?: HardSetting): CheckedCore {
  const memory = source.memory as WebAssembly.Memory;
  const of = { backEnd, memory, base: source.start, build: "shared", hard } as CoreSubject;
  return coreAttached(backEnd, of).core;
}

function coreStart(subject: CoreSubject): void {
  subject.errors = [];
  subject.errorCall = () => false;
  subject.pages = [];
  subject.pageCall = () => true;
  subject.reports = [];
  subject.guards = new Map();
  subject.random = true;
  subject.growths = 0;
  subject.refuseFrom = Number.POSITIVE_INFINITY;
  subject.refuseTo = Number.POSITIVE_INFINITY;
  subject.core = unsigned(instantiate(subject), subject.memory);
}

/** Offset from the state of the words of the heap that the first instance made. */
export function heapOffset(build: Build): number {
  return build === "single" ? L.STATE_HEAP : L.STATE_AREAS + L.AREA_FIRST * L.AREA_SIZE;
}

function windows(memory: WebAssembly.Memory, base: number, build: Build) {
  const heap = heapOffset(build);
  let words = new Uint32Array(memory.buffer);
  let bytes = new Uint8Array(memory.buffer);
  const wordsNow = () => {
    if (words.buffer !== memory.buffer) words = new Uint32Array(memory.buffer);
    return words;
  };
  const bytesNow = () => {
    if (bytes.buffer !== memory.buffer) bytes = new Uint8Array(memory.buffer);
    return bytes;
  };
  const word = (address: number, offset = 0) => wordsNow()[(address + offset) / 4]!;
  return {
    words: wordsNow,
    bytes: bytesNow,
    word,
    state: (offset: number) => word(base, offset),
    heap: (offset: number) => word(base + heap, offset),
  };
}

/** Random words that are the same for the same seed, in every back end. */
function hardHost(subject: CoreSubject): Omit<HardHost, keyof CoreHost> {
  let state = subject.hard?.seed ?? 1;
  return {
    random: (at, words) => {
      const from = (at >>> 0) / 4;
      if (!subject.random) {
        subject.words()[from] = 12345;
        return false;
      }
      for (let i = 0; i < words; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        subject.words()[from + i] = state;
      }
      return true;
    },
    report: (kind, p, a, b) => {
      subject.reports.push([kind >>> 0, p >>> 0, a >>> 0, b >>> 0]);
    },
    protect: (p, size, on) => {
      if (on) subject.guards.set(p >>> 0, size >>> 0);
      else subject.guards.delete(p >>> 0);
    },
  };
}

function hostOf(subject: CoreSubject): CoreHost {
  return {
    get buffer() {
      return subject.memory.buffer;
    },
    grow: (slices) => growExactly(subject, slices >>> 0),
    pages: (operation, address, bytes) => {
      subject.pages.push([operation, address >>> 0, bytes >>> 0]);
      return subject.pageCall(operation, address >>> 0, bytes >>> 0) ? 1 : 0;
    },
    error: (code, size) => {
      if (subject.errorCall(code >>> 0, size >>> 0)) return;
      subject.errors.push([code >>> 0, size >>> 0]);
    },
  };
}

function growExactly(subject: CoreSubject, slices: number): number {
  subject.growths += 1;
  const { growths, refuseFrom, refuseTo } = subject;
  if (growths >= refuseFrom && growths <= refuseTo) return 0;
  try {
    return ((slices << 16) | subject.memory.grow(slices)) >>> 0;
  } catch {
    return 0;
  }
}

function instantiate(subject: CoreSubject): CheckedCore {
  const host = Object.assign(hostOf(subject), hardHost(subject));
  if (subject.backEnd === "js") return factories[kindOf(subject)](host);
  const { grow, pages, error } = host;
  const env = { ...hardHost(subject), memory: subject.memory, grow, pages, error };
  return new WebAssembly.Instance(modules[kindOf(subject)], { env })
    .exports as unknown as CheckedCore;
}

/**
 * WebAssembly returns i32, JavaScript sometimes booleans: here all results are u32. As the checked
 * API does, this also looks for a buffer that was replaced.
 */
function unsigned(core: CheckedCore, memory: WebAssembly.Memory): CheckedCore {
  const calls: Record<string, unknown> = {};
  let { buffer } = memory;
  for (const [name, value] of Object.entries(core)) {
    if (typeof value !== "function") continue;
    calls[name] = (a = 0, b = 0, c = 0, d = 0, e = 0) => {
      if (memory.buffer !== buffer) {
        buffer = memory.buffer;
        core.memoryRefresh();
      }
      return value(a, b, c, d, e) >>> 0;
    };
  }
  return calls as unknown as CheckedCore;
}
