/** Guard pages, by the two means that Linux has. */

import {
  MADV_DONTNEED,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "./constants.ts";
import type { Native } from "./ffi.ts";

/** Ranges are whole pages; results are as in C. */
export interface Guards {
  readonly kind: "install" | "mprotect";
  set(address: number, bytes: number): number;
  clear(address: number, bytes: number): number;
  /** Sets the guards within a range again, after the engine has undone them. */
  renew(address: number, bytes: number): number;
  /** The range was unmapped: forgets its guards. */
  forget(address: number, bytes: number): void;
}

/** Guards by madvise if the kernel has them, which is tested once on a page, else by mprotect. */
export function guardsOf(native: Native, pageBytes: number): Guards {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const page = native.mmap(0, pageBytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  const installs = page !== -1 && guardInstalls(native, page, pageBytes);
  if (page !== -1) native.munmap(page, pageBytes);
  return installs ? installGuards(native) : new ProtectGuards(native);
}

/**
 * Emulators of other processors return success for advice that they do not know. So this makes the
 * kernel write to the page: where there is a guard, the call fails without a signal.
 */
function guardInstalls(native: Native, page: number, pageBytes: number): boolean {
  if (native.madvise(page, pageBytes, MADV_GUARD_INSTALL) !== 0) return false;
  return native.mincore(page, pageBytes, BigInt(page)) !== 0;
}

/** Marks in the page table: they split no mapping, and stay after mprotect and growth. */
function installGuards(native: Native): Guards {
  return {
    kind: "install",
    set: (address, bytes) => native.madvise(address, bytes, MADV_GUARD_INSTALL),
    clear: (address, bytes) => native.madvise(address, bytes, MADV_GUARD_REMOVE),
    renew: () => 0,
    forget: () => {},
  };
}

/**
 * The most ranges that mprotect guards in a thread. Each splits a mapping in three, and a process
 * with 65 530 mappings, engine included, can map no more memory.
 */
export const GUARDS_LIMIT = 8192;
/** The result for one more range; the system does not return this number. */
export const GUARDS_FULL = -2;

/**
 * Inaccessible pages by mprotect. V8 makes all of a memory accessible whenever it grows, so the
 * ranges are kept to be set again; each thread has its own list.
 */
export class ProtectGuards implements Guards {
  readonly kind = "mprotect";
  readonly #native: Native;
  /** Bytes of each range by its address; no two overlap. */
  readonly #ranges = new Map<number, number>();

  constructor(native: Native) {
    this.#native = native;
  }

  get count(): number {
    return this.#ranges.size;
  }

  set(address: number, bytes: number): number {
    if (this.#ranges.size >= GUARDS_LIMIT && !this.#ranges.has(address)) return GUARDS_FULL;
    const result = this.#native.mprotect(address, bytes, PROT_NONE);
    if (result !== 0) return result;
    this.forget(address, bytes);
    this.#ranges.set(address, bytes);
    return this.#native.madvise(address, bytes, MADV_DONTNEED);
  }

  clear(address: number, bytes: number): number {
    const result = this.#native.mprotect(address, bytes, PROT_READ | PROT_WRITE);
    if (result === 0) this.forget(address, bytes);
    return result;
  }

  renew(address: number, bytes: number): number {
    let result = 0;
    for (const [at, size] of this.#ranges) {
      if (at < address || at >= address + bytes) continue;
      result = this.#native.mprotect(at, size, PROT_NONE) || result;
    }
    return result;
  }

  /** The parts of a guard outside of the range stay guarded. */
  forget(address: number, bytes: number): void {
    if (this.#ranges.get(address) === bytes) {
      this.#ranges.delete(address);
      return;
    }
    const end = address + bytes;
    for (const [at, size] of [...this.#ranges]) {
      if (at >= end || at + size <= address) continue;
      this.#ranges.delete(at);
      if (at < address) this.#ranges.set(at, address - at);
      if (at + size > end) this.#ranges.set(end, at + size - end);
    }
  }
}
