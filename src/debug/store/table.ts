/** From addresses to pages and large blocks. */
import type { Block } from "./block.ts";
import type { Finder } from "./contract.ts";
import type { Large } from "./large.ts";
import { Page } from "./page.ts";
import { findNearest } from "./queries.ts";

/**
 * Bytes of a cell of the filter, as a shift. Cells are as fine as large blocks: in cells of a page
 * each sampled block in quarantine sends all its neighbours the slow way (sh8: 1.7 times the bare
 * heap instead of 1.2).
 */
const FILTER_SHIFT = 10;

/** How many pages and large blocks touch each cell of memory. */
class Cells {
  readonly #shift: number;
  #touched = new Uint8Array(0);

  constructor(shift: number) {
    this.#shift = shift;
  }

  /** Whether an address is in a cell that no block touches. */
  isUnsampled(address: number): boolean {
    return !((this.#touched[address >>> this.#shift] as number) > 0);
  }

  /** Adds `by` to the counts of the cells that an item touches. */
  change({ run }: Page | Large, by: number): void {
    const last = (run.base + run.bytes - 1) >>> this.#shift;
    if (last >= this.#touched.length) this.#grow(last + 1);
    for (let cell = run.base >>> this.#shift; cell <= last; cell++) {
      this.#touched[cell] = (this.#touched[cell] as number) + by;
    }
  }

  clear(): void {
    this.#touched.fill(0);
  }

  get bytes(): number {
    return this.#touched.byteLength;
  }

  #grow(cells: number): void {
    const grown = new Uint8Array(Math.max(cells, this.#touched.length * 2));
    grown.set(this.#touched);
    this.#touched = grown;
  }
}

/**
 * Finds pages by cell: a cell has the size of a page, so at most one page begins in it, at whatever
 * addresses the backing allocator returns pages. An address belongs to the page of its cell or of
 * the cell before.
 */
export class BlockTable implements Finder {
  /** Undefined unless sampling. */
  readonly filter: Cells | undefined;
  readonly #cells: Cells;
  readonly #cellBytes: number;
  readonly #shift: number;
  readonly #pages = new Map<number, Page>();
  /** Large blocks by address, live or in quarantine. A Map shrinks when entries are deleted. */
  readonly #large = new Map<number, Large>();
  /** Large blocks by the cells that they begin in. */
  readonly #largeFrom = new Map<number, Large[]>();

  constructor(pageSize: number, sampling: boolean) {
    this.#cellBytes = pageSize;
    this.#shift = 31 - Math.clz32(pageSize);
    this.#cells = new Cells(this.#shift);
    this.filter = sampling ? new Cells(FILTER_SHIFT) : undefined;
  }

  add(item: Page | Large): void {
    if (item instanceof Page) this.#pages.set(item.base >>> this.#shift, item);
    else this.#largeAdd(item);
    this.#cells.change(item, 1);
    this.filter?.change(item, 1);
  }

  remove(item: Page | Large): void {
    if (item instanceof Page) this.#pages.delete(item.base >>> this.#shift);
    else this.#largeRemove(item);
    this.#cells.change(item, -1);
    this.filter?.change(item, -1);
  }

  clear(): void {
    this.#pages.clear();
    this.#large.clear();
    this.#largeFrom.clear();
    this.#cells.clear();
    this.filter?.clear();
  }

  at(ptr: number): Block | undefined {
    return this.#pageAt(ptr)?.slotAt(ptr) ?? this.#large.get(ptr);
  }

  covering(address: number): Block | undefined {
    return this.at(address) ?? this.#largeCovering(address);
  }

  nearest(address: number): Block | undefined {
    return findNearest(this.blocks(), address);
  }

  get pages(): IterableIterator<Page> {
    return this.#pages.values();
  }

  *items(): Generator<Page | Large> {
    yield* this.#pages.values();
    yield* this.#large.values();
  }

  *blocks(): Generator<Block> {
    for (const item of this.items()) yield* item.blocks();
  }

  get bytes(): number {
    return this.#cells.bytes + (this.filter?.bytes ?? 0) + this.#pages.size * 24;
  }

  /** The only page that can have a slot at an address; it may also have none there. */
  #pageAt(address: number): Page | undefined {
    const cell = address >>> this.#shift;
    const page = this.#pages.get(cell);
    return page !== undefined && address >= page.base ? page : this.#pages.get(cell - 1);
  }

  #largeAdd(large: Large): void {
    this.#large.set(large.ptr, large);
    const cell = large.from >>> this.#shift;
    const list = this.#largeFrom.get(cell);
    if (list) list.push(large);
    else this.#largeFrom.set(cell, [large]);
  }

  #largeRemove(large: Large): void {
    this.#large.delete(large.ptr);
    const cell = large.from >>> this.#shift;
    const others = (this.#largeFrom.get(cell) ?? []).filter((each) => each !== large);
    if (others.length > 0) this.#largeFrom.set(cell, others);
    else this.#largeFrom.delete(cell);
  }

  /**
   * Searches downwards for the cell in which a large block begins. Blocks do not overlap, so the
   * first one found covers the address or none does. A cell that no item touches ends the search.
   */
  #largeCovering(address: number): Large | undefined {
    for (let cell = address >>> this.#shift; cell >= 0; cell--) {
      if (this.#cells.isUnsampled(cell * this.#cellBytes)) return undefined;
      let found: Large | undefined;
      for (const large of this.#largeFrom.get(cell) ?? []) {
        if (large.from <= address && large.from >= (found?.from ?? 0)) found = large;
      }
      if (found) return address < found.to ? found : undefined;
    }
    return undefined;
  }
}
