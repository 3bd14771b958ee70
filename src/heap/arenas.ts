/** Memory set apart: reserved, or given by the caller. */
import { checkSize } from "../common/checks.ts";
import { noArena, outOfMemory, wrongKind } from "../common/errors.ts";
import type { CoreExports } from "../core/contract.ts";
import * as L from "../core/layout/layout.ts";
import type { MemorySource } from "../memory/index.ts";
import { checkBytes } from "../memory/source.ts";
import type {
  ArenaArea,
  ArenaCalls,
  ArenaOptions,
  HugePageOptions,
  ManageOptions,
  ReserveOptions,
} from "./calls/contract.ts";
import { arenas, rangeIsOurs } from "./owned-slices.ts";
import { runTold } from "./stats/damage.ts";

/** What the arenas of a heap work on. */
interface ArenaHost {
  core(): CoreExports;
  source(): MemorySource;
  /** Words of the memory as it is now. */
  words(): Uint32Array;
}

/** The arenas of one memory; their ids count from 1. */
export class Arenas implements ArenaCalls {
  readonly #host: ArenaHost;

  constructor(host: ArenaHost) {
    this.#host = host;
  }

  reserve(bytes: number, options: ReserveOptions = {}): number {
    checkSize(bytes, "bytes");
    const flags = flagsOf(options, { commit: L.ARENA_COMMITTED });
    const core = this.#host.core();
    const count = Math.max(1, Math.ceil(bytes / L.SLICE_SIZE));
    const node = nodeOf(options);
    const id = this.#peakKeep(() => core.arenaMake(count, flags, node) >>> 0);
    if (id === 0) throw this.#refused("reserveMemory", bytes);
    return id;
  }

  manage(address: number, bytes: number, options: ManageOptions = {}): number {
    checkBytes("address", address);
    checkBytes("bytes", bytes);
    const names = {
      committed: L.ARENA_COMMITTED,
      zeroed: L.ARENA_ZEROED,
      pinned: L.ARENA_PINNED,
    };
    const flags = flagsOf({ committed: true, ...options }, names);
    const [first, end] = this.#slicesOf(address, bytes);
    return this.#give("manageMemory", first, end - first, flags, nodeOf(options));
  }

  hugePages(pages: number, options: HugePageOptions = {}): { arena: number; pages: number } {
    checkSize(pages, "pages");
    const { timeout = 0 } = options;
    if (typeof timeout !== "number") throw wrongKind("timeout", "a number", timeout);
    const source = this.#host.source();
    const { huge } = source;
    if (!huge) throw new RangeError(`${source.kind} has no huge pages`);
    const node = nodeOf(options);
    const got = huge.reserve(pages, node === L.NODE_ANY ? 0 : node, timeout);
    if (got.pages === 0) throw outOfMemory("reserveHugePages", pages * huge.pageBytes);
    const flags = flagsOf(options, {}) | L.ARENA_PINNED | L.ARENA_COMMITTED | L.ARENA_ZEROED;
    const count = (got.pages * huge.pageBytes) / L.SLICE_SIZE;
    const first = got.address / L.SLICE_SIZE;
    return { arena: this.#give("reserveHugePages", first, count, flags, node), pages: got.pages };
  }

  get nodes(): number {
    return this.#host.source().numa?.nodes ?? 1;
  }

  area(id: number): ArenaArea | undefined {
    checkSize(id, "id");
    this.#host.core().goodSize(0); // throws if the heap has ended
    const record = this.#records()[id - 1];
    if (!record || record.count === 0) return undefined;
    return { address: record.first * L.SLICE_SIZE, bytes: record.count * L.SLICE_SIZE };
  }

  picture(): string {
    this.#host.core().goodSize(0);
    const words = this.#host.words();
    const bits = words[(this.#host.source().start + L.S_ARENAS) >>> 2] as number;
    return this.#records()
      .map(({ first, count }, index) => pictureOf(words, bits, index + 1, first, count))
      .join("");
  }

  /** The core claims an arena's slices as those of a page, which they never are. */
  #peakKeep(make: () => number): number {
    const { start } = this.#host.source();
    const peak = (start + L.S_PAGE_SLICES_PEAK) >>> 2;
    const before = Atomics.load(this.#host.words(), peak);
    const id = runTold(make);
    const words = this.#host.words();
    const now = Math.max(before, Atomics.load(words, (start + L.S_PAGE_SLICES) >>> 2));
    Atomics.store(words, peak, Math.min(Atomics.load(words, peak), now));
    return id;
  }

  #give(call: string, first: number, count: number, flags: number, node: number): number {
    const core = this.#host.core();
    const id = runTold(() => core.arenaGive(first, count, flags, node) >>> 0);
    if (id === 0) throw this.#refused(call, count * L.SLICE_SIZE);
    return id;
  }

  #refused(call: string, bytes: number): Error {
    const full = this.#records().length === L.ARENAS_MAX;
    return full ? noArena(call, L.ARENAS_MAX) : outOfMemory(call, bytes);
  }

  /** The whole slices in a range that nobody has; never the one at address 0. */
  #slicesOf(address: number, bytes: number): [number, number] {
    const source = this.#host.source();
    const { byteLength } = source.buffer;
    const range = `${address} .. ${address + bytes}`;
    if (address + bytes > byteLength) {
      throw new RangeError(`manageMemory: ${range} ends behind the memory's ${byteLength}`);
    }
    const first = Math.max(1, Math.ceil(address / L.SLICE_SIZE));
    const end = Math.min(L.SLICES_MAX, Math.floor((address + bytes) / L.SLICE_SIZE));
    if (end <= first) throw new RangeError(`manageMemory: ${range} holds no whole 64 KiB`);
    const shared = source.capabilities.shared;
    if (rangeIsOurs(this.#host.words(), source.start, first, end, shared)) {
      throw new RangeError(`manageMemory: ${range} belongs to the heap in part`);
    }
    return [first, end];
  }

  #records(): { first: number; count: number }[] {
    return [...arenas(this.#host.words(), this.#host.source().start)];
  }
}

/** A line that tells the numbers, and one for each 32 slices: x = in use, . = free. */
function pictureOf(
  words: Uint32Array,
  bits: number,
  id: number,
  first: number,
  count: number,
): string {
  const marks = Array.from({ length: count }, (_, i) => {
    const slice = first + i;
    const free = ((words[(bits >>> 2) + (slice >>> 5)] as number) >>> (slice & 31)) & 1;
    return free ? "." : "x";
  });
  const used = marks.filter((mark) => mark === "x").length;
  const lines = Array.from({ length: Math.ceil(count / 32) }, (_, i) => {
    return `${marks.slice(32 * i, 32 * i + 32).join("")}\n`;
  });
  const at = (first * L.SLICE_SIZE).toString(16);
  return `arena ${id}: ${count} slices at 0x${at}, ${used} in use\n${lines.join("")}`;
}

/** The budget of a new heap in slices; 0 = none. */
export function heapBudget({ maximum }: { maximum?: number | undefined }): number {
  checkBytes("maximum", maximum);
  if (maximum === undefined) return 0;
  if (maximum >= L.SLICE_SIZE) return Math.floor(maximum / L.SLICE_SIZE);
  throw new RangeError(`maximum must be at least 65536 bytes, not ${maximum}`);
}

function flagsOf(options: ArenaOptions, names: Record<string, number>): number {
  if (typeof options !== "object" || options === null) {
    throw wrongKind("options", "an object", options);
  }
  const known: Record<string, number> = { exclusive: L.ARENA_EXCLUSIVE, ...names };
  let flags = 0;
  for (const [name, value] of Object.entries(options)) {
    const flag = known[name];
    if (flag === undefined || value === undefined) continue;
    if (typeof value !== "boolean") throw wrongKind(name, "a boolean", value);
    if (value) flags |= flag;
  }
  return flags;
}

function nodeOf({ numaNode }: ArenaOptions): number {
  if (numaNode === undefined) return L.NODE_ANY;
  checkSize(numaNode, "numaNode");
  return numaNode;
}
