/**
 * Addresses of faults. V8 turns a fault of WebAssembly code into a RuntimeError without the
 * address, and any other fault ends the process. A signal handler before Node's records the
 * address, and makes the page accessible where V8 does not throw: see faults-x64.S.
 *
 * The handler belongs to the process: the first thread that watches installs it, other threads find
 * it by its code. It is not removed, because handlers that were installed later may call it.
 */

import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  SA_SIGINFO,
  SIG_IGN,
  SIGSEGV,
} from "./constants.ts";
import { faultsCode } from "./faults-code.ts";
import { findNative, type Native, nodeProcess } from "./ffi.ts";
import { type OsPages, type OsPagesMissing, osPages } from "./pages.ts";

/** An access to a page that was inaccessible. */
export interface Fault {
  /** The address that was accessed. */
  readonly address: number;
  /** Whether it was a write. For an atomic read and write, arm64 may report either. */
  readonly write: boolean;
  /**
   * true: WebAssembly code made the access, and V8 threw a RuntimeError. false: the page was made
   * accessible and the access was done; close the page again.
   */
  readonly thrown: boolean;
}

/** Offset of the data: the code before them is on pages of its own, whatever their size. */
const DATA = 65536;
/** Words of the data: see faults-x64.S. */
const OLD = 0;
const TRY = 1;
const PAGE = 2;
const RANGES = 512;
const RANGES_COUNT = 32;
const RANGE_WORDS = 256;
const FROM = 0;
const TO = 1;
const HEAD = 2;
const RING = 128;
const RING_COUNT = 32;
const ENTRY = 4;
const DATA_BYTES = 8 * (RANGES + RANGES_COUNT * RANGE_WORDS);

/** struct sigaction: the handler, the mask of 16 words, the flags (an int), and the restorer. */
const SIGACTION_BYTES = 152;
const FLAGS = 17;
const V8_TRAP = "_ZN2v829TryHandleWebAssemblyTrapPosixEiP9siginfo_tPv";

/** The faults in one range of addresses. */
export class FaultWatch implements Disposable {
  /** The faults are watched; false in the result of `watchFaults` where they cannot be. */
  readonly available = true;
  readonly #range: BigUint64Array;
  #seen: bigint;

  /** Use `watchFaults`. */
  constructor(range: BigUint64Array, to: bigint) {
    this.#range = range;
    this.#seen = Atomics.load(range, HEAD);
    Atomics.store(range, TO, to);
  }

  /** Whether there are faults that `read` has not returned. */
  get pending(): boolean {
    return Atomics.load(this.#range, HEAD) !== this.#seen;
  }

  /**
   * The faults since the last call, oldest first; at most the last 32. All faults of this thread
   * are included; those of other threads that are being recorded come with the next call.
   */
  read(): Fault[] {
    const head = Atomics.load(this.#range, HEAD);
    const oldest = head - BigInt(RING_COUNT);
    const found: Fault[] = [];
    if (this.#seen < oldest) this.#seen = oldest;
    for (; this.#seen < head; this.#seen++) {
      const fault = this.#entry(this.#seen);
      if (fault) found.push(fault);
      else if (this.#unfinished(this.#seen)) break;
    }
    return found;
  }

  /** Ends the watch: faults in the range go to the engine again. */
  destroy(): void {
    Atomics.store(this.#range, TO, 0n);
    Atomics.store(this.#range, FROM, 0n);
  }

  /** `destroy`, for `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  /**
   * The number of an entry is stored last and cleared first: if it is there before and after the
   * rest was read, the entry was not written meanwhile.
   */
  #entry(number: bigint): Fault | undefined {
    const at = RING + Number(number % BigInt(RING_COUNT)) * ENTRY;
    if (Atomics.load(this.#range, at + 3) !== number + 1n) return undefined;
    const address = Number(Atomics.load(this.#range, at));
    const kind = Number(Atomics.load(this.#range, at + 2));
    if (Atomics.load(this.#range, at + 3) !== number + 1n) return undefined;
    return { address, write: (kind & 2) !== 0, thrown: (kind & 4) !== 0 };
  }

  /** Whether an entry is still being written, and was not replaced 32 faults later. */
  #unfinished(number: bigint): boolean {
    return Atomics.load(this.#range, HEAD) <= number + BigInt(RING_COUNT);
  }
}

/**
 * Watches a range of addresses for accesses to inaccessible pages, or returns what is missing for
 * that. At most 32 ranges in a process. Linux on x86-64 and arm64 only.
 *
 * @param address of the range in the process, from `OsPages.addressOf` for example.
 * @param bytes of the range.
 * @example
 * const watch = watchFaults(os.addressOf(memory.buffer), 2 ** 20);
 * if (watch.available) console.log(watch.read());
 */
export function watchFaults(address: number, bytes: number): FaultWatch | OsPagesMissing {
  const data = findData();
  if (typeof data === "string") return { available: false, missing: data };
  for (let index = 0; index < RANGES_COUNT; index++) {
    const at = RANGES + index * RANGE_WORDS;
    const range = data.subarray(at, at + RANGE_WORDS);
    const from = BigInt(address);
    if (Atomics.compareExchange(range, FROM, 0n, from) !== 0n) continue;
    return new FaultWatch(range, from + BigInt(bytes));
  }
  return {
    available: false,
    missing: `all ${RANGES_COUNT} ranges of the process are watched: destroy one`,
  };
}

let known: BigUint64Array | string | undefined;

/** The data of the handler in this process, or what is missing for it. */
function findData(): BigUint64Array | string {
  known ??= makeData();
  return known;
}

function makeData(): BigUint64Array | string {
  const os = osPages();
  if (!os.available) return os.missing;
  const arch = nodeProcess()?.arch ?? "";
  const text = faultsCode[arch];
  if (!text) return `the fault handler is made for x64 and arm64, not for ${arch}`;
  const native = findNative() as Native;
  const trap = native.symbol(V8_TRAP);
  if (trap === 0) return "this program does not export V8's trap handler";
  const before = readSigaction(native);
  if ((before[0] as bigint) <= SIG_IGN) return "V8's trap handler is off";
  const code = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return installed(native, before, code, os) ?? install(native, before, code, trap, os);
}

function readSigaction(native: Native): BigUint64Array {
  const action = new Uint8Array(SIGACTION_BYTES);
  native.sigaction(SIGSEGV, null, action);
  return new BigUint64Array(action.buffer);
}

/** The data of the installed handler, if it is this one: it begins a page with the same code. */
function installed(native: Native, action: BigUint64Array, code: Uint8Array, os: OsPages) {
  const handler = Number(action[0]);
  if (handler % os.pageBytes !== 0) return undefined;
  const there = new Uint8Array(native.view(handler, code.length));
  if (!code.every((byte, index) => byte === there[index])) return undefined;
  return new BigUint64Array(native.view(handler + DATA, DATA_BYTES));
}

/** The kernel updates instruction caches when it makes a page executable. */
function install(
  native: Native,
  before: BigUint64Array,
  code: Uint8Array,
  trap: number,
  os: OsPages,
): BigUint64Array | string {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const at = native.mmap(0, DATA + DATA_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (at === -1) return `no memory for the fault handler (errno ${native.errno()})`;
  new Uint8Array(native.view(at, code.length)).set(code);
  const data = new BigUint64Array(native.view(at + DATA, DATA_BYTES));
  data[OLD] = before[0] as bigint;
  data[TRY] = BigInt(trap);
  data[PAGE] = BigInt(os.pageBytes);
  if (native.mprotect(at, DATA, PROT_READ | PROT_EXEC) !== 0) {
    return `the system allows no new code (errno ${native.errno()})`;
  }
  const action = before.slice();
  action[0] = BigInt(at);
  // Without it the handler gets only the number of the signal.
  action[FLAGS] = (action[FLAGS] as bigint) | SA_SIGINFO;
  const replaced = new BigUint64Array(before.length);
  native.sigaction(SIGSEGV, bytesOf(action), bytesOf(replaced));
  // Another thread may have installed its handler first: then this one calls that.
  data[OLD] = replaced[0] as bigint;
  return data;
}

function bytesOf(words: BigUint64Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}
