/**
 * A sample of a heap's allocations whose blocks lie beside guard pages. The core offers them
 * (src/core/pages/sample.ts), `guarded` of terrane/debug serves them; this is what connects them.
 */
import { heapDamaged } from "../../common/errors.ts";
import type { GuardsMemory, HeapGuards } from "../../core/contract.ts";
import * as L from "../../core/layout/layout.ts";
import type { ObservedHeap } from "./contract.ts";
import { ownersOf, pageOf, pages } from "./walk.ts";

/** Below this mean gap every allocation is counted for itself, since batches are about as long. */
const EACH_MAX = 512;

/** The guards that one heap in one thread offers its sample to. */
export class SampledGuards {
  readonly range: Omit<GuardsMemory, "destroy">;
  /** How the core is to count: a bit OBSERVE_*. */
  readonly watch: number;
  readonly #heap: ObservedHeap;
  readonly #guards: HeapGuards;
  /** What the core was told. */
  #every = 0;
  #begun = 0;

  /** Undefined when memory is out. */
  static begin(heap: ObservedHeap, guards: HeapGuards): SampledGuards | undefined {
    const { core } = heap;
    const bytes = guards.bytes + tableBytes(guards.count);
    const was = core.heapBind(core.heapBacking());
    // Larger than any block that shares its page with others.
    const address = core.malloc(Math.max(bytes, L.MEDIUM_MAX + 1)) >>> 0;
    core.heapBind(was);
    return address === 0 ? undefined : new SampledGuards(heap, guards, address);
  }

  private constructor(heap: ObservedHeap, guards: HeapGuards, address: number) {
    const { state } = heap;
    this.#heap = heap;
    this.#guards = guards;
    this.watch = guards.every < EACH_MAX ? L.OBSERVE_EACH : L.OBSERVE_SOME;
    const words = heap.words();
    const table = address + guards.bytes;
    this.range = { address, table };
    words.fill(0, table >>> 2, (table + tableBytes(guards.count)) >>> 2);
    words[(table + L.GUARDS_COUNT) >>> 2] = guards.count;
    words[(pageOf(words, state, address) + L.D_GUARDS) >>> 2] = table;
    parkBlocks(words, state, heap.thread());
    this.#begin();
  }

  has(ptr: number): boolean {
    return (ptr - this.range.address) >>> 0 < this.#guards.bytes;
  }

  /** The core asks for a block of so many bytes; one of none could not be resized. */
  due(size: number): void {
    const { core } = this.#heap;
    const ptr = this.#guards.take(Math.max(size, 1), core.sampleAlignment() >>> 0);
    if (this.#guards.every !== this.#every) this.#begin();
    core.sampleResult(ptr);
  }

  #begin(): void {
    const { every, seed } = this.#guards;
    this.#every = every;
    this.#heap.core.sampleBegin(every, spread(seed + this.#begun));
    this.#begun += 1;
  }

  freed(ptr: number): void {
    this.#guards.freed(ptr);
  }

  misused(ptr: number): void {
    if (this.has(ptr)) this.#guards.misused(ptr);
  }

  size(ptr: number): number {
    return this.#guards.sizeAt(ptr);
  }

  destroy(): void {
    const words = this.#heap.words();
    words[(pageOf(words, this.#heap.state, this.range.address) + L.D_GUARDS) >>> 2] = 0;
    // Another block may lie where the last sample was.
    this.#heap.core.sampleBegin(1, 0);
    this.#heap.core.free(this.range.address);
  }
}

/** Seeds that are near each other must not begin alike (a step of murmur3). */
function spread(seed: number): number {
  const x = Math.imul(seed ^ (seed >>> 16) ^ 0x9e3779b9, 0x85ebca6b);
  return (x ^ (x >>> 13)) >>> 0;
}

function tableBytes(count: number): number {
  return L.GUARDS_FIRST + count * L.GUARD_ENTRY;
}

/** Blocks that small pages have to give are counted when they give them: as freed ones. */
function parkBlocks(words: Uint32Array, state: number, thread: number): void {
  const mine = thread === 0 ? () => true : ownersOf(words, thread, false);
  for (const page of pages(words, state)) {
    const at = (field: number) => (page + field) >>> 2;
    const owner = words[at(L.D_OWNER)] as number;
    const large = (owner & (L.FLAG_LARGE | L.FLAG_MEDIUM)) !== 0;
    if (large || !mine((owner & ~L.FLAGS) >>> 0)) continue;
    words[at(L.D_FRESH_END)] = words[at(L.D_FRESH)] as number;
    joinLists(words, at(L.D_FREE), at(L.D_LOCAL));
  }
}

/** The free list goes in front of the freed blocks. */
function joinLists(words: Uint32Array, free: number, local: number): void {
  let last = words[free] as number;
  if (last === 0) return;
  let left = L.SLICE_SIZE / L.WORD;
  for (let next = words[last >>> 2]; next; next = words[next >>> 2]) {
    if (left-- === 0) throw heapDamaged(last);
    last = next;
  }
  words[last >>> 2] = words[local] as number;
  words[local] = words[free] as number;
  words[free] = 0;
}

/** Counts the free of a block at ptr that another thread guards, in the table of its guards. */
export function countFreeAfar(heap: ObservedHeap, ptr: number): void {
  const words = heap.words();
  const table = tableAt(words, heap.state, ptr);
  const entry = entryAt(words, table, ptr);
  if (entry === 0) return;
  Atomics.add(words, (entry + L.G_FREES) >>> 2, 1);
  Atomics.add(words, (table + L.GUARDS_FREES) >>> 2, 1);
}

/** Bytes from ptr to the end of a block that another thread guards; 0 = it is in none. */
export function sizeAfar(heap: ObservedHeap, ptr: number): number {
  const words = heap.words();
  const entry = entryAt(words, tableAt(words, heap.state, ptr), ptr);
  const size = entry === 0 ? L.GUARD_IS_FREE : (words[(entry + L.G_SIZE) >>> 2] as number);
  if (size === L.GUARD_IS_FREE || words[(entry + L.G_FREES) >>> 2] !== 0) return 0;
  return (words[(entry + L.G_PTR) >>> 2] as number) + size - ptr;
}

function tableAt(words: Uint32Array, state: number, ptr: number): number {
  return words[(pageOf(words, state, ptr) + L.D_GUARDS) >>> 2] as number;
}

/** The entry of the block that ptr lies in, or begins; 0 = there is none. */
function entryAt(words: Uint32Array, table: number, ptr: number): number {
  const count = words[(table + L.GUARDS_COUNT) >>> 2] as number;
  for (let index = 0; index < count; index++) {
    const entry = table + L.GUARDS_FIRST + index * L.GUARD_ENTRY;
    const from = words[(entry + L.G_PTR) >>> 2] as number;
    const size = words[(entry + L.G_SIZE) >>> 2] as number;
    if (ptr === from || (size !== L.GUARD_IS_FREE && ptr > from && ptr < from + size)) return entry;
  }
  return 0;
}
