/** A scratch instance: functions of a module are called in it, and their effects are taken back. */
import { PAGE_BYTES } from "../../common/constants.ts";
import { MAP_SHIFT, SCRATCH, type ScratchModule } from "./rewrite.ts";
import { type StandInHost, standInsCreate } from "./stand-ins.ts";

const MAP_PAGE = 2 ** MAP_SHIFT;
/** Fuel that a call of an imported function costs. */
const IMPORT_FUEL = 500;

/** A global whose value is part of the snapshot. */
interface KeptGlobal {
  /** Its index in the module; -1 if it is imported. */
  readonly index: number;
  readonly global: WebAssembly.Global;
  value: unknown;
}

/** What has changed since the snapshot. */
export interface Changes {
  /** Addresses of words of 32 bits, in ascending order. */
  readonly words: readonly number[];
  /** Addresses of bytes. */
  readonly bytes: ReadonlySet<number>;
  /** Indices of globals of the module. */
  readonly globals: readonly number[];
}

type Call = (...args: number[]) => number | undefined;

/**
 * An instance of a rewritten module. `snapshot` takes the state to which `restore` returns: only
 * the pages that were written since are copied back.
 */
export class Scratch implements StandInHost {
  readonly rewritten: ScratchModule;
  /** The bytes of the memory, and behind it of the map. */
  readonly bytes: Uint8Array;
  readonly #exports: WebAssembly.Exports;
  readonly #fuel: WebAssembly.Global;
  readonly #pages: WebAssembly.Global;
  readonly #globals: KeptGlobal[] = [];
  readonly #map: Uint8Array;
  /** The map as words, to find written pages with fewer steps. */
  readonly #mapWords: Int32Array;
  /** The contents of the memory at the snapshot; above its end all is zero. */
  #image = new Uint8Array();
  #imagePages = 0;
  /** How many calls were made. */
  calls = 0;

  /**
   * Compiles and instantiates, without a promise: hooks around WebAssembly have to answer at once.
   *
   * @throws WebAssembly.CompileError, LinkError or RuntimeError where the engine does; a RangeError
   *   on a page's main thread, where some engines refuse large modules.
   */
  static open(rewritten: ScratchModule): Scratch {
    const compiled = new WebAssembly.Module(rewritten.bytes);
    let scratch: Scratch | undefined;
    const host: StandInHost = {
      called: () => scratch?.called(),
      grown: (bytes) => scratch?.grown(bytes) === true,
      copied: (to, from, length) => scratch?.copied(to, from, length),
      filled: (address, byte, length) => scratch?.filled(address, byte, length),
    };
    const { imports, globals, memory } = standInsCreate(rewritten, host);
    const instance = new WebAssembly.Instance(compiled, imports);
    scratch = new Scratch(rewritten, instance.exports, globals, memory);
    return scratch;
  }

  private constructor(
    rewritten: ScratchModule,
    exports: WebAssembly.Exports,
    imported: readonly WebAssembly.Global[],
    memory: WebAssembly.Memory | undefined,
  ) {
    this.rewritten = rewritten;
    this.#exports = exports;
    this.#fuel = exports[SCRATCH.fuel] as WebAssembly.Global;
    this.#pages = exports[SCRATCH.pages] as WebAssembly.Global;
    const { buffer } = memory ?? (exports[SCRATCH.memory] as WebAssembly.Memory);
    this.bytes = new Uint8Array(buffer);
    const mapAt = rewritten.mostPages * PAGE_BYTES;
    this.#map = new Uint8Array(buffer, mapAt, mapAt >>> MAP_SHIFT);
    this.#mapWords = new Int32Array(buffer, mapAt, this.#map.length >>> 2);
    for (const global of imported) this.#globals.push({ index: -1, global, value: 0 });
    rewritten.module.globals.forEach((_, index) => {
      const global = exports[`${SCRATCH.global}${index}`] as WebAssembly.Global | undefined;
      if (global) this.#globals.push({ index, global, value: 0 });
    });
    this.#dataMark();
    this.snapshot();
  }

  /** The bytes of data segments, which the engine has copied, count as written. */
  #dataMark(): void {
    for (const { address, passive, start, end } of this.rewritten.module.data) {
      // An address that is not a constant is an imported base, and something added to it.
      if (!passive) this.mark(address ?? 0, end - start + (address === undefined ? PAGE_BYTES : 0));
    }
  }

  /** Bytes of the memory, as the module sees it. */
  get size(): number {
    return (this.#pages.value as number) * PAGE_BYTES;
  }

  /**
   * Calls a function with so much fuel.
   *
   * @returns its result, 0 if it has none; undefined if it trapped or the fuel was used up.
   */
  call(index: number, fuel: number, args: readonly number[]): number | undefined {
    this.calls++;
    this.#fuel.value = fuel;
    const call = this.#exports[`${SCRATCH.function}${index}`] as Call;
    try {
      return (call(...args) ?? 0) >>> 0;
    } catch {
      return undefined;
    }
  }

  called(): void {
    this.#fuel.value = (this.#fuel.value as number) - IMPORT_FUEL;
  }

  grown(bytes: number): boolean {
    if (bytes <= this.size || bytes > this.rewritten.mostPages * PAGE_BYTES) return false;
    this.#pages.value = Math.ceil(bytes / PAGE_BYTES);
    return true;
  }

  copied(to: number, from: number, length: number): void {
    if (Math.max(to, from) + length > this.size) return;
    this.mark(to, length);
    this.bytes.copyWithin(to, from, from + length);
  }

  filled(address: number, byte: number, length: number): void {
    if (address + length <= this.size) this.fill(address, length, byte);
  }

  /** Notes that JavaScript has written or will write a range. */
  mark(address: number, length: number): void {
    if (length <= 0) return;
    this.#map.fill(1, address >>> MAP_SHIFT, ((address + length - 1) >>> MAP_SHIFT) + 1);
  }

  /** Fills a range with a byte. */
  fill(address: number, length: number, byte: number): void {
    this.mark(address, length);
    this.bytes.fill(byte, address, address + length);
  }

  /** The word of 32 bits at an address that is a multiple of 4. */
  word(address: number): number {
    return wordOf(this.bytes, address);
  }

  /** Makes the present state the one to which `restore` returns. */
  snapshot(): void {
    let end = this.#image.length;
    this.#eachWritten((page) => {
      end = Math.max(end, (page + 1) * MAP_PAGE);
    });
    const image = new Uint8Array(end);
    image.set(this.#image);
    this.#eachWritten((page) => {
      image.set(this.bytes.subarray(page * MAP_PAGE, (page + 1) * MAP_PAGE), page * MAP_PAGE);
    });
    this.#image = image;
    this.#mapWords.fill(0);
    this.#imagePages = this.#pages.value as number;
    for (const each of this.#globals) each.value = each.global.value;
  }

  /** Returns to the snapshot. */
  restore(): void {
    this.#eachWritten((page) => {
      const [from, to] = [page * MAP_PAGE, (page + 1) * MAP_PAGE];
      if (from < this.#image.length) this.bytes.set(this.#image.subarray(from, to), from);
      else this.bytes.fill(0, from, to);
      this.#map[page] = 0;
    });
    this.#pages.value = this.#imagePages;
    for (const { global, value } of this.#globals) {
      if (global.value !== value) global.value = value as number;
    }
  }

  /** What has changed since the snapshot, in memory below an address and in globals. */
  changes(below: number): Changes {
    const words: number[] = [];
    const bytes = new Set<number>();
    this.#eachWritten((page) => {
      const end = Math.min((page + 1) * MAP_PAGE, below);
      for (let at = page * MAP_PAGE; at < end; at += 4) {
        const old = at < this.#image.length ? wordOf(this.#image, at) : 0;
        const changed = wordOf(this.bytes, at) ^ old;
        if (changed === 0) continue;
        words.push(at);
        for (let i = 0; i < 4; i++) if ((changed >>> (8 * i)) & 0xff) bytes.add(at + i);
      }
    });
    const changed = this.#globals.filter(({ global, value }) => global.value !== value);
    return {
      words,
      bytes,
      globals: changed.map((each) => each.index).filter((index) => index >= 0),
    };
  }

  /** How many pages of 4 KiB were written since the snapshot. */
  get writtenPages(): number {
    let count = 0;
    this.#eachWritten(() => {
      count++;
    });
    return count;
  }

  #eachWritten(visit: (page: number) => void): void {
    for (let i = 0; i < this.#mapWords.length; i++) {
      if (this.#mapWords[i] === 0) continue;
      for (let page = i * 4; page < i * 4 + 4; page++) if (this.#map[page]) visit(page);
    }
  }
}

function wordOf(bytes: Uint8Array, at: number): number {
  const [a, b, c, d] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]] as [
    number,
    number,
    number,
    number,
  ];
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}
