/** Reads the heap's own structures: statistics and the walk over live blocks. */
import { heapDamaged } from "../../common/errors.ts";
import * as L from "../../core/layout/layout.ts";
import type { MemorySource } from "../../memory/index.ts";
import type { BlockNext, StatsLevel } from "./contract.ts";
import { readCounts } from "./counts.ts";
import { descAt, pageCheck, topOf } from "./damage.ts";
import { fragmentationOf, freeRunLongest } from "./free-runs.ts";
import type { BinCount, HeapStats } from "./numbers.ts";
import { binBytes, kinds, readKind, readTally } from "./tally.ts";

/** Words of the memory, indexed by address / 4. */
type Words = Uint32Array;

/** Of which heap statistics are, and how much of them. */
interface StatsOf {
  level: StatsLevel;
  shared: boolean;
}

/** Called by `visitBlocks` with address and usable bytes of a live block; false stops it. */
export type BlockVisitor = (ptr: number, size: number) => boolean | undefined | void;

/** Memory that another thread has just grown may be past the end of `words`: it reads as 0. */
function word(words: Words, address: number, offset: number): number {
  return (words[(address + offset) >>> 2] as number) >>> 0;
}

/** Descriptors of all pages of the heap whose state is at `state`, in address order. */
export function* pages(words: Words, state: number): Generator<number> {
  for (const slice of starts(words, state)) yield descAt(words, state, slice);
}

/** Slices at which a page begins. */
function* starts(words: Words, state: number): Generator<number> {
  const top = topOf(words, state);
  for (let slice = 0; slice < top; slice++) {
    const bits = word(words, state, L.STATE_STARTS + ((slice >>> 5) << 3));
    if (bits === 0) slice |= 31;
    else if ((bits >>> (slice & 31)) & 1) yield slice;
  }
}

/** As `pages`, of pages that no other thread changes: each is checked. */
function* checkedPages(words: Words, state: number, owner?: Owner): Generator<number> {
  for (const slice of starts(words, state)) {
    const page = descAt(words, state, slice);
    if (owner && !owner(ownerOf(words, page))) continue;
    pageCheck(words, state, page, slice);
    yield page;
  }
}

export function readStats(words: Words, state: number, of: StatsOf): HeapStats {
  const stats = of.shared
    ? sharedNumbers(words, state)
    : numbers(words, state, checkedPages(words, state));
  stats.largestFreeBytes = freeRunLongest(words, state, of.shared) * L.SLICE_SIZE;
  stats.fragmentation = fragmentationOf(stats.largestFreeBytes, stats.freeBytes);
  const counts = readCounts(words, state, of.shared, stats);
  if (of.level === 0) return { ...stats, counts };
  const sizes = kinds.map((kind, index) => [kind, readKind(words, state, index)]);
  const level1 = { ...stats, counts, sizes: Object.fromEntries(sizes) };
  if (of.level === 1) return level1;
  return { ...level1, ...level2(words, state) };
}

function level2(words: Words, state: number) {
  const bins: BinCount[] = [];
  for (let bin = 1; bin <= L.BIN_MEDIUM + L.MEDIUM_RUN_MAX; bin++) {
    const blocks = readTally(words, state, bin);
    if (blocks.total > 0) bins.push({ bin, size: binBytes(bin), blocks });
  }
  return { bins, requestedBytes: readTally(words, state, L.TALLY_ASKED).total };
}

type Numbers = Omit<HeapStats, "counts" | "sizes" | "bins" | "requestedBytes">;

function numbers(words: Words, state: number, of: Iterable<number>): Numbers {
  const slices = (field: number) => word(words, state, field) * L.SLICE_SIZE;
  const stats: Numbers = {
    heapBytes: slices(L.S_OWN_SLICES),
    pageBytes: slices(L.S_PAGE_SLICES),
    pageBytesPeak: slices(L.S_PAGE_SLICES_PEAK),
    freeBytes: slices(L.S_FREE_SLICES) + arenasFree(words, state) * L.SLICE_SIZE,
    largestFreeBytes: 0,
    fragmentation: 0,
    stateBytes: stateBytes(words, state),
    committedBytes: slices(L.S_COMMITTED),
    committedBytesPeak: slices(L.S_COMMITTED_PEAK),
    commits: word(words, state, L.S_COMMITS),
    purges: word(words, state, L.S_PURGES),
    purgedBytes: slices(L.S_PURGED),
    resets: word(words, state, L.S_RESETS),
    resetBytes: slices(L.S_RESET),
    pages: 0,
    blocks: 0,
    blockBytes: 0,
    heartbeat: word(words, state + L.STATE_HEAP, L.H_HEARTBEAT),
    threads: 1,
    abandonedPages: 0,
  };
  pagesCount(words, of, stats);
  return stats;
}

function pagesCount(words: Words, of: Iterable<number>, stats: Numbers): void {
  for (const page of of) {
    stats.pages += 1;
    stats.blocks += word(words, page, L.D_USED);
    stats.blockBytes += bytesUsed(words, page);
    if (ownerOf(words, page) === L.OWNER_ABANDONED && !isLarge(words, page)) {
      stats.abandonedPages += 1;
    }
  }
}

/** The id of the heap that a page belongs to. */
function ownerOf(words: Words, page: number): number {
  return (word(words, page, L.D_OWNER) & ~L.FLAGS) >>> 0;
}

/** Bytes of the slices of a heap's pages. */
export function heldRead(words: Words, state: number, heap: number): number {
  let slices = 0;
  for (const page of pages(words, state)) {
    if (ownerOf(words, page) === heap) slices += word(words, page, L.D_SLICES);
  }
  return slices * L.SLICE_SIZE;
}

function isLarge(words: Words, page: number): boolean {
  return (word(words, page, L.D_OWNER) & L.FLAG_LARGE) !== 0;
}

/** Of a heap that threads share: their numbers added up. */
function sharedNumbers(words: Words, state: number): Numbers {
  const stats = numbers(words, state, pages(words, state));
  const free = bitsIn(words, state + L.STATE_FREE, word(words, state, L.S_TOP));
  stats.freeBytes = (free + arenasFree(words, state)) * L.SLICE_SIZE;
  stats.heartbeat = word(words, state, L.S_HEARTBEAT);
  stats.threads = 0;
  let heaps = 0;
  for (let i = L.AREA_FIRST; i < L.AREA_COUNT; i++) {
    const area = state + L.STATE_AREAS + i * L.AREA_SIZE;
    if ((word(words, area, L.H_STATE) & 3) === L.AREA_FREE) continue;
    if (word(words, area, L.H_OF) === 0) stats.threads += 1;
    stats.heartbeat += word(words, area, L.H_HEARTBEAT);
    heaps += 1;
  }
  stats.stateBytes += inOsPages(L.AREA_SIZE * heaps) + OS_PAGE;
  return stats;
}

/** Free slices of all arenas. */
function arenasFree(words: Words, state: number): number {
  const bits = word(words, state, L.S_ARENAS);
  return bits === 0 ? 0 : bitsIn(words, bits, word(words, state, L.S_TOP));
}

/** Bits that are set among the first `count` of a bitmap. */
function bitsIn(words: Words, bitmap: number, count: number): number {
  let set = 0;
  for (let i = 0; i < Math.ceil(count / 32); i++) set += bitsCount(word(words, bitmap, i * 4));
  return set;
}

/** Not by the blocks of a medium page: while it changes, its bounds and free units disagree. */
function bytesUsed(words: Words, page: number): number {
  if ((word(words, page, L.D_OWNER) & L.FLAG_MEDIUM) === 0) {
    return word(words, page, L.D_USED) * word(words, page, L.D_BLOCK);
  }
  const free =
    bitsCount(word(words, page, L.D_FREE_LOW)) + bitsCount(word(words, page, L.D_FREE_HIGH));
  return (L.MEDIUM_UNITS - free) * L.UNIT_SIZE;
}

function bitsCount(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}

const OS_PAGE = 4096;

function inOsPages(bytes: number): number {
  return Math.ceil(bytes / OS_PAGE) * OS_PAGE;
}

/** Arena, heap and bitmaps are touched as far as slices reach, and so are descriptors. */
function stateBytes(words: Words, state: number): number {
  const top = word(words, state, L.S_TOP);
  const own = top - state / L.SLICE_SIZE;
  return inOsPages(L.STATE_DIRTY + top / 4) + inOsPages(own * L.DESC_SIZE);
}

/** A run of memory that holds blocks of a heap. */
export interface HeapArea {
  /** Address of the first block. */
  start: number;
  /** Bytes for blocks. */
  reserved: number;
  /** Bytes of them that have been taken into use so far. */
  committed: number;
  /** Blocks in use. */
  used: number;
  /** Bytes of each block for its user; 0 = blocks of several sizes, multiples of 2 KiB. */
  blockSize: number;
  /** blockSize with what hardening puts at the end of a block. */
  fullBlockSize: number;
}

/** Called by `visitBlocks` for a run of memory that holds blocks; false stops it. */
export type AreaVisitor = (area: HeapArea) => boolean | undefined | void;

type Owner = (heap: number) => boolean;

/** What a walk visits. */
interface WalkOf {
  /** Whether the pages of the heap with this id; all when there is no function. */
  owner?: Owner | undefined;
  /** Called for each area, before its blocks. */
  areas?: AreaVisitor | undefined;
  /** Undefined in an unhardened heap. */
  next?: BlockNext | undefined;
}

/** Calls `visit` for every live block in address order; returns whether none stopped it. */
export function blocksVisit(
  words: Words,
  state: number,
  visit: BlockVisitor | undefined,
  { owner, areas, next = nextUnhardened(words) }: WalkOf = {},
): boolean {
  const record = recordBytes(words, state);
  for (const page of checkedPages(words, state, owner)) {
    if (areas?.(areaOf(words, page, record)) === false) return false;
    if (!visit) continue;
    for (const [ptr, size] of pageBlocks(words, page, next)) {
      if (visit(ptr, size - record) === false) return false;
    }
  }
  return true;
}

export function nextUnhardened(words: Words): BlockNext {
  return (_, block) => word(words, block, 0);
}

/** Bytes of a block that its user does not have. */
function recordBytes(words: Words, state: number): number {
  return (word(words, state, L.S_HARDENING) & L.HARD_RECORD) !== 0 ? L.RECORD_SIZE : 0;
}

/** Makes all memory of a heap with guard pages accessible again. */
export function guardsLift(words: Words, { start, pages: operations }: MemorySource): void {
  if ((word(words, start, L.S_HARDENING) & L.HARD_GUARD_PAGES) === 0) return;
  for (const page of pages(words, start)) {
    if (!isLarge(words, page)) continue;
    const end = word(words, page, L.D_END);
    const bytes = word(words, page, L.D_SLICES) * L.SLICE_SIZE;
    operations?.unprotect(end, word(words, page, L.D_START) + bytes - end);
  }
}

function areaOf(words: Words, page: number, record: number): HeapArea {
  const medium = (word(words, page, L.D_OWNER) & L.FLAG_MEDIUM) !== 0;
  const start = word(words, page, L.D_START);
  const committed = word(words, page, L.D_FRESH_END) - start;
  const end = (word(words, page, L.D_END) & ~L.END_SAMPLE) >>> 0;
  return {
    start,
    reserved: medium ? L.MEDIUM_SLICES * L.SLICE_SIZE : end - start,
    committed: medium ? L.MEDIUM_SLICES * L.SLICE_SIZE : committed,
    used: word(words, page, L.D_USED),
    blockSize: medium ? 0 : word(words, page, L.D_BLOCK) - record,
    fullBlockSize: medium ? 0 : word(words, page, L.D_BLOCK),
  };
}

/** Whether a thread may read the pages of an owner: of its own heaps, and abandoned ones. */
export function ownersOf(words: Words, thread: number, abandoned: boolean) {
  return (heap: number): boolean => {
    if (heap === L.OWNER_ABANDONED) return abandoned;
    return word(words, heap, L.H_STATE) === ((thread << 2) | L.AREA_LIVE) >>> 0;
  };
}

/** The live blocks of a page, all found before the first is shown: the visitor may free. */
export function pageBlocks(words: Words, page: number, next: BlockNext): [number, number][] {
  const flags = word(words, page, L.D_OWNER);
  if ((flags & L.FLAG_MEDIUM) !== 0) return mediumBlocks(words, page);
  return (flags & L.FLAG_LARGE) !== 0 ? largeBlock(words, page) : equalBlocks(words, page, next);
}

/** Usable bytes of every block in use of a page; of a page that changes meanwhile: a guess. */
export function pageBlockSizes(words: Words, page: number): number[] {
  const medium = (word(words, page, L.D_OWNER) & L.FLAG_MEDIUM) !== 0;
  if (medium) return mediumBlocks(words, page).map(([, bytes]) => bytes);
  const count = Math.min(word(words, page, L.D_USED), L.SLICE_SIZE / L.WORD);
  return new Array(count).fill(word(words, page, L.D_BLOCK));
}

/** Bytes of the block that holds an address inside the blocks of a page, from its beginning on. */
export function blockBytesAt(words: Words, state: number, ptr: number): number {
  const page = pageOf(words, state, ptr);
  if ((word(words, page, L.D_OWNER) & L.FLAG_MEDIUM) === 0) return word(words, page, L.D_BLOCK);
  const bound = (unit: number) =>
    unit <= 0 ||
    unit >= L.MEDIUM_UNITS ||
    ((word(words, page, unit < 32 ? L.D_BOUNDS_LOW : L.D_BOUNDS_HIGH) >>> (unit & 31)) & 1) !== 0;
  let first = (ptr - word(words, page, L.D_START)) >>> L.UNIT_SHIFT;
  let end = first + 1;
  while (!bound(first)) first--;
  while (!bound(end)) end++;
  return (end - first) * L.UNIT_SIZE;
}

/** Descriptor of the page in which an address lies. */
export function pageOf(words: Words, state: number, ptr: number): number {
  return descAt(words, state, startBefore(words, state, ptr >>> L.SLICE_SHIFT));
}

/** The first slice of the page that holds a slice. */
function startBefore(words: Words, state: number, slice: number): number {
  let bits =
    word(words, state, L.STATE_STARTS + ((slice >>> 5) << 3)) &
    (0xffffffff >>> (31 - (slice & 31)));
  let index = slice >>> 5;
  while (bits === 0 && index > 0) bits = word(words, state, L.STATE_STARTS + (--index << 3));
  if (bits === 0) throw heapDamaged(state + L.STATE_STARTS);
  return index * 32 + 31 - Math.clz32(bits);
}

/** Its descriptor can change meanwhile: any thread may free or resize the block. */
function largeBlock(words: Words, page: number): [number, number][] {
  const [start, fresh] = [word(words, page, L.D_START), word(words, page, L.D_FRESH)];
  return fresh > start ? [[start, word(words, page, L.D_BLOCK)]] : [];
}

function equalBlocks(words: Words, page: number, next: BlockNext): [number, number][] {
  const size = word(words, page, L.D_BLOCK);
  const free = new Set<number>();
  listCollect(words, page, L.D_FREE, { free, next });
  listCollect(words, page, L.D_LOCAL, { free, next });
  const blocks: [number, number][] = [];
  const end = word(words, page, L.D_FRESH);
  for (let p = word(words, page, L.D_START); p < end; p += size) {
    if (!free.has(p)) blocks.push([p, size]);
  }
  return blocks;
}

function mediumBlocks(words: Words, page: number): [number, number][] {
  const bit = (low: number, high: number, unit: number) =>
    (word(words, page, unit < 32 ? low : high) >>> (unit & 31)) & 1;
  const blocks: [number, number][] = [];
  for (let unit = 0; unit < L.MEDIUM_UNITS; unit++) {
    if (bit(L.D_FREE_LOW, L.D_FREE_HIGH, unit)) continue;
    if (bit(L.D_BOUNDS_LOW, L.D_BOUNDS_HIGH, unit)) {
      blocks.push([word(words, page, L.D_START) + unit * L.UNIT_SIZE, L.UNIT_SIZE]);
    } else {
      const last = blocks.at(-1);
      if (!last) throw heapDamaged(page);
      last[1] += L.UNIT_SIZE;
    }
  }
  return blocks;
}

interface ListWalk {
  readonly free: Set<number>;
  readonly next: BlockNext;
}

/** Within the page and its blocks: a list can be circular after a double free, or lead anywhere. */
function listCollect(words: Words, page: number, list: number, walk: ListWalk): void {
  const [from, to] = [word(words, page, L.D_START), word(words, page, L.D_FRESH_END)];
  const { free, next } = walk;
  let block = word(words, page, list);
  while (block >= from && block < to && !free.has(block)) {
    free.add(block);
    block = next(page, block);
  }
}
