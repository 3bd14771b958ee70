/**
 * A shadow model beside an allocator: knows every live block, its pattern and the bytes it covers,
 * and checks each answer. Works over anything with C's calls and a look into the memory.
 */
import assert from "node:assert/strict";
import { createAbi, type Heap } from "#src/heap/index.js";
import type { Random } from "./random.js";

export interface Verbs {
  malloc(size: number): number;
  calloc(count: number, size: number): number;
  memalign(alignment: number, size: number): number;
  realloc(p: number, size: number): number;
  free(p: number): void;
  usableSize(p: number): number;
  bytes(): Uint8Array;
}

/** The calls of an allocator in its checked API. */
export function typedVerbs(door: Omit<Verbs, "bytes"> & { readonly u8: Uint8Array }): Verbs {
  return {
    malloc: (size) => door.malloc(size),
    calloc: (count, size) => door.calloc(count, size),
    memalign: (alignment, size) => door.memalign(alignment, size),
    realloc: (p, size) => door.realloc(p, size),
    free: (p) => door.free(p),
    usableSize: (p) => door.usableSize(p),
    bytes: () => door.u8,
  };
}

/** C's functions, as far as both the heap and the size classes have them. */
interface AbiDoor {
  readonly u8: Uint8Array;
  readonly abi: Record<
    "malloc" | "calloc" | "aligned_alloc" | "realloc" | "malloc_usable_size",
    (...args: number[]) => number
  > & { free(p: number): void };
}

/** The calls of an allocator under C's names, where wasm returns signed numbers. */
export function abiVerbs(door: Heap | AbiDoor): Verbs {
  const abi = createAbi(door as AbiDoor);
  return {
    malloc: (size) => abi.malloc(size) >>> 0,
    calloc: (count, size) => abi.calloc(count, size) >>> 0,
    memalign: (alignment, size) => abi.aligned_alloc(alignment, size) >>> 0,
    realloc: (p, size) => abi.realloc(p, size) >>> 0,
    free: (p) => abi.free(p),
    usableSize: (p) => abi.malloc_usable_size(p) >>> 0,
    bytes: () => door.u8,
  };
}

export interface Block {
  p: number;
  size: number;
  usable: number;
  alignment: number;
  seed: number;
}

/** Contents up to this size are written and checked in full, larger ones in places. */
const FULL = 1024;

export class Shadow {
  readonly live: Block[] = [];
  /** Requests for which the allocator returned 0. */
  refused = 0;
  operations = 0;
  readonly #verbs: Verbs;
  readonly #claims = new Claims();
  #seed = 1;

  constructor(verbs: Verbs) {
    this.#verbs = verbs;
  }

  malloc(size: number): number {
    return this.#add(this.#verbs.malloc(size), size, size > 8 ? 16 : 8);
  }

  calloc(count: number, size: number): number {
    const p = this.#verbs.calloc(count, size);
    if (p !== 0) assertZero(this.#verbs.bytes(), p, count * size);
    return this.#add(p, count * size, 8);
  }

  memalign(alignment: number, size: number): number {
    return this.#add(this.#verbs.memalign(alignment, size), size, alignment);
  }

  /** A block that cannot be resized must be as it was. */
  realloc(index: number, size: number): number {
    const block = this.live[index]!;
    const p = this.#verbs.realloc(block.p, size);
    if (p === 0) {
      this.operations++;
      this.refused++;
      this.check(block);
      return 0;
    }
    checkPattern(this.#verbs.bytes(), p, block, Math.min(size, block.size));
    this.#drop(index);
    return this.#add(p, size, 8);
  }

  free(index: number): void {
    const block = this.live[index]!;
    this.check(block);
    this.#verbs.free(block.p);
    this.#drop(index);
    this.operations++;
  }

  check(block: Block): void {
    assert.equal(this.#verbs.usableSize(block.p), block.usable, "usable size of a live block");
    checkPattern(this.#verbs.bytes(), block.p, block, block.size);
  }

  checkAll(): void {
    for (const block of this.live) this.check(block);
  }

  freeAll(): void {
    while (this.live.length > 0) this.free(this.live.length - 1);
  }

  /** Whether any live block covers a byte of [from, to). */
  covers(from: number, to: number): boolean {
    return this.live.some((block) => block.p < to && block.p + block.usable > from);
  }

  #add(p: number, size: number, alignment: number): number {
    this.operations++;
    if (p === 0) {
      this.refused++;
      return 0;
    }
    const usable = this.#verbs.usableSize(p);
    assert.ok(usable >= size, `usable ${usable} of a block of ${size} at ${p}`);
    assert.equal(p % alignment, 0, `${p} is not a multiple of ${alignment}`);
    assert.ok(p + usable <= this.#verbs.bytes().length, `block at ${p} ends behind the memory`);
    const block = { p, size, usable, alignment, seed: this.#seed++ };
    this.#claims.claim(p, p + usable);
    this.live.push(block);
    writePattern(this.#verbs.bytes(), block);
    return p;
  }

  #drop(index: number): void {
    const block = this.live[index]!;
    this.#claims.release(block.p, block.p + block.usable);
    const last = this.live.pop()!;
    if (last !== block) this.live[index] = last;
  }
}

/** Which granules of 8 bytes belong to a live block, in a table per 64 KiB. */
class Claims {
  readonly #tables = new Map<number, { taken: Uint8Array; count: number }>();

  claim(from: number, to: number): void {
    this.#each(from, to, (table, first, last) => {
      for (let i = first; table.count > 0 && i < last; i++) {
        assert.equal(table.taken[i], 0, `blocks overlap in ${from} .. ${to}`);
      }
      table.taken.fill(1, first, last);
      table.count += last - first;
    });
  }

  release(from: number, to: number): void {
    this.#each(from, to, (table, first, last) => {
      table.taken.fill(0, first, last);
      table.count -= last - first;
    });
  }

  #each(
    from: number,
    to: number,
    visit: (table: { taken: Uint8Array; count: number }, first: number, last: number) => void,
  ): void {
    const end = Math.ceil(to / 8);
    for (let at = Math.floor(from / 8); at < end; ) {
      const key = Math.floor(at / 8192);
      const table = this.#tables.get(key) ?? { taken: new Uint8Array(8192), count: 0 };
      this.#tables.set(key, table);
      const stop = Math.min(end, (key + 1) * 8192);
      visit(table, at - key * 8192, stop - key * 8192);
      at = stop;
    }
  }
}

/** Places of a block whose contents are looked at: all, or both ends and some between. */
function eachPlace(size: number, limit: number, visit: (i: number) => void): void {
  if (size <= FULL) {
    for (let i = 0; i < limit; i++) visit(i);
    return;
  }
  const stride = Math.max(61, Math.floor(size / 64));
  for (let i = 0; i < 64 && i < limit; i++) visit(i);
  for (let i = 64; i < size - 64 && i < limit; i += stride) visit(i);
  for (let i = size - 64; i < limit; i++) visit(i);
}

function patternAt(seed: number, i: number): number {
  return (seed * 31 + i * 7 + (i >>> 8) * 13 + 1) & 0xff;
}

function writePattern(bytes: Uint8Array, block: Block): void {
  const { p, seed, size } = block;
  eachPlace(size, size, (i) => {
    bytes[p + i] = patternAt(seed, i);
  });
}

/** The first `limit` bytes at p hold what was written into a block. */
function checkPattern(bytes: Uint8Array, p: number, block: Block, limit: number): void {
  const { seed, size } = block;
  eachPlace(size, limit, (i) => {
    if (bytes[p + i] !== patternAt(seed, i)) {
      assert.fail(`byte ${i} of the block of ${size} at ${p} was changed`);
    }
  });
}

function assertZero(bytes: Uint8Array, p: number, size: number): void {
  const look = (i: number) => {
    if (bytes[p + i] !== 0) assert.fail(`byte ${i} of the zeroed block of ${size} at ${p}`);
  };
  if (size <= 65536) for (let i = 0; i < size; i++) look(i);
  else eachPlace(size, size, look);
}

/** What a random run does: percentages of the operations, sizes, and how many blocks live. */
export interface Profile {
  name: string;
  live: number;
  size(random: Random): number;
  calloc: number;
  memalign: number;
  realloc: number;
}

export const profiles: Profile[] = [
  {
    name: "small",
    live: 6000,
    size: (r) => r.skewed(1, 1100) - 1,
    calloc: 5,
    memalign: 2,
    realloc: 5,
  },
  {
    name: "mixed",
    live: 1500,
    size: (r) => r.skewed(1, 100000),
    calloc: 8,
    memalign: 5,
    realloc: 15,
  },
  {
    name: "large",
    live: 60,
    size: (r) => r.skewed(20000, 2e6),
    calloc: 3,
    memalign: 4,
    realloc: 30,
  },
  {
    name: "aligned",
    live: 1500,
    size: (r) => r.skewed(1, 30000),
    calloc: 2,
    memalign: 60,
    realloc: 15,
  },
  {
    name: "realloc",
    live: 400,
    size: (r) => r.skewed(1, 60000),
    calloc: 10,
    memalign: 5,
    realloc: 75,
  },
];

/**
 * One random operation. The number of live blocks swings between none and the profile's limit, so
 * that pages fill, empty, retire and come back.
 */
export function step(shadow: Shadow, profile: Profile, random: Random): number {
  const { live } = shadow;
  const wave = 0.5 + 0.5 * Math.sin(shadow.operations / (3 * profile.live));
  const wanted = wave * profile.live;
  if (live.length > 0 && random.chance(profile.realloc)) {
    return shadow.realloc(random.below(live.length), profile.size(random));
  }
  if (live.length > 0 && random.chance(live.length < wanted ? 30 : 70)) {
    shadow.free(pick(live.length, random));
    return 0;
  }
  return allocate(shadow, profile, random);
}

function allocate(shadow: Shadow, profile: Profile, random: Random): number {
  const size = profile.size(random);
  const kind = random.below(100);
  if (kind < profile.calloc) return shadow.calloc(1, size);
  if (kind >= profile.calloc + profile.memalign) return shadow.malloc(size);
  const alignment = 1 << random.between(0, random.chance(5) ? 18 : 13);
  return shadow.memalign(alignment, size);
}

/** Any block, or one of the latest: programs free in both ways. */
function pick(count: number, random: Random): number {
  return random.chance(40) ? count - 1 - random.below(Math.min(4, count)) : random.below(count);
}
