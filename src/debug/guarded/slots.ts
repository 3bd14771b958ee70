/**
 * Slots between guard pages, after GWP-ASan's pool (LLVM):
 *
 *   | guard | slot 0 | guard | slot 1 | guard | … | slot n-1 | guard |
 *
 * A block covers the end of its slot, or the start. Only the pages that it touches are accessible,
 * and no page of a free slot. Slots are used again in the order in which they were freed, so a
 * freed block stays inaccessible for as long as possible: live + free = count.
 */
import type { MemorySource, PageOperations } from "../../memory/index.ts";
import type { BlockFacts, Damage } from "../report/mistakes.ts";
import type { LazyStack } from "../report/stack-table.ts";
import type { GuardTable } from "./table.ts";

/** The byte beside a block, where its pages have more bytes than the block. */
const CANARY = 0xc5;
/** The most canary bytes on either side. */
const CANARY_BYTES = 64;

/**
 * A slot and its block, the last one if it is free. In JavaScript, where no stray write reaches.
 */
export class GuardSlot implements BlockFacts {
  readonly index: number;
  readonly from: number;
  readonly to: number;
  /** 0 if it never had a block. */
  ptr = 0;
  size = 0;
  alignment = 0;
  live = false;
  readonly resized = 0;
  allocatedBy: LazyStack | undefined;
  freedBy: LazyStack | undefined;
  /** The pages that are accessible while the block is live, from the first byte. */
  first = 0;
  /** The end of these pages, exclusive. */
  last = 0;
  /** When the block was allocated or freed: greater is later. */
  order = 0;

  constructor(index: number, from: number, to: number) {
    this.index = index;
    this.from = from;
    this.to = to;
  }

  get allocated(): number {
    return this.allocatedBy?.id ?? 0;
  }

  get freed(): number {
    return this.freedBy?.id ?? 0;
  }
}

export class GuardSlots {
  /** Where the first guard begins, a multiple of a page. */
  readonly from: number;
  readonly to: number;
  readonly all: GuardSlot[] = [];
  readonly slotBytes: number;
  readonly #source: MemorySource;
  readonly #pages: PageOperations;
  /** Bytes of a page. */
  readonly #unit: number;
  /** Where other threads find blocks, if they share the heap. */
  readonly #table: GuardTable | undefined;
  readonly #free: GuardSlot[];
  /** The index in #free of the slot that was freed first. */
  #oldest = 0;
  #live = 0;
  #open = 0;
  #clock = 0;

  /** Makes the whole range inaccessible. It must be allocated, and used by nothing else. */
  constructor(
    source: MemorySource,
    pages: PageOperations,
    from: number,
    plan: SlotPlan,
    table?: GuardTable,
  ) {
    this.#source = source;
    this.#table = table;
    this.#pages = pages;
    this.#unit = pages.pageBytes;
    this.slotBytes = plan.slotBytes;
    this.from = from;
    this.to = from + plan.bytes;
    const stride = plan.slotBytes + this.#unit;
    for (let index = 0; index < plan.count; index++) {
      const start = from + this.#unit + index * stride;
      this.all.push(new GuardSlot(index, start, start + plan.slotBytes));
    }
    this.#free = [...this.all];
    if (!pages.protect(from, plan.bytes)) {
      throw new RangeError(`guarded: the system refuses guards over ${plan.bytes} bytes`);
    }
  }

  /** Freed blocks that could not be made inaccessible. */
  get open(): number {
    return this.#open;
  }

  get live(): number {
    return this.#live;
  }

  /** A slot for a block; undefined if all are live, or the block does not fit. */
  take(size: number, alignment: number, atEnd: boolean): GuardSlot | undefined {
    if (this.#live === this.all.length || size > this.slotBytes) return undefined;
    const slot = this.#free[this.#oldest] as GuardSlot;
    const bytes = Math.max(size, 1);
    const ptr = atEnd ? down(slot.to - bytes, alignment) : up(slot.from, alignment);
    if (ptr < slot.from || ptr + bytes > slot.to) return undefined;
    const first = down(ptr, this.#unit);
    const last = up(ptr + bytes, this.#unit);
    if (!this.#pages.unprotect(first, last - first)) return undefined;
    this.#oldest = (this.#oldest + 1) % this.all.length;
    this.#live += 1;
    const order = ++this.#clock;
    const live = { ptr, size, alignment, live: true, first, last, order };
    Object.assign(slot, { ...live, freedBy: undefined });
    this.#visitCanaries(slot, (u8, from, to) => u8.fill(CANARY, from, to));
    this.#table?.add(slot.index, ptr, size);
    return slot;
  }

  /** Frees a block: any access to it fails from now on. Returns what was written beside it. */
  free(slot: GuardSlot): Damage | undefined {
    const found = this.damage(slot);
    slot.live = false;
    this.#table?.remove(slot.index);
    slot.order = ++this.#clock;
    this.#free[(this.#oldest + this.all.length - this.#live) % this.all.length] = slot;
    this.#live -= 1;
    if (!this.#pages.protect(slot.first, slot.last - slot.first)) this.#open += 1;
    return found;
  }

  /** Slots whose blocks threads without these guards have freed, once for each free. */
  takeRemoteFrees(): GuardSlot[] {
    const slots: GuardSlot[] = [];
    for (const index of this.#table?.takeRemoteFrees() ?? [])
      slots.push(this.all[index] as GuardSlot);
    return slots;
  }

  /** Bytes from an address to the end of the live block around it; 0 if there is none. */
  sizeAt(address: number): number {
    const slot = this.slotAt(address);
    if (!slot?.live || address < slot.ptr || address > slot.ptr + slot.size) return 0;
    return slot.ptr + slot.size - address;
  }

  /** What was written beside a live block in its own pages, where there is no guard. */
  damage(slot: GuardSlot): Damage | undefined {
    let count = 0;
    let at = 0;
    this.#visitCanaries(slot, (u8, from, to) => {
      for (let address = from; address < to; address++) {
        if (u8[address] === CANARY) continue;
        if (count === 0) at = address;
        count += 1;
      }
    });
    return count === 0 ? undefined : { at, count };
  }

  /** All slots that have or had a block, the latest first. */
  recent(): GuardSlot[] {
    return this.all.filter(({ ptr }) => ptr !== 0).sort((a, b) => b.order - a.order);
  }

  /** The slot that covers an address; undefined for a guard. */
  slotAt(address: number): GuardSlot | undefined {
    const slot = this.all[this.#index(address)];
    return slot && address >= slot.from ? slot : undefined;
  }

  /** The block that an access to a guard or a free slot was meant for: the closest, if any. */
  closest(address: number): GuardSlot | undefined {
    const here = this.slotAt(address);
    if (here?.ptr) return here;
    const index = this.#index(address);
    const [left, right] = [this.all[index - 1], this.all[index]];
    const toLeft = left?.ptr ? address - left.ptr - left.size : Number.POSITIVE_INFINITY;
    const toRight = right?.ptr ? right.ptr - address : Number.POSITIVE_INFINITY;
    if (Math.min(toLeft, toRight) === Number.POSITIVE_INFINITY) return undefined;
    return toLeft <= toRight ? left : right;
  }

  /** Makes a page inaccessible again that a fault has opened, unless a live block touches it. */
  protectAgain(address: number): void {
    const slot = this.slotAt(address);
    if (slot?.live && address >= slot.first && address < slot.last) return;
    this.#pages.protect(down(address, this.#unit), this.#unit);
  }

  /** Makes the whole range accessible, for its next use. */
  destroy(): void {
    this.#pages.unprotect(this.from, this.to - this.from);
  }

  /** The index of the slot that covers an address, or whose guard before it does. */
  #index(address: number): number {
    return Math.floor((address - this.from) / (this.slotBytes + this.#unit));
  }

  /** Visits the bytes before and after a block that lie in its pages. */
  #visitCanaries(slot: GuardSlot, visit: (u8: Uint8Array, from: number, to: number) => void): void {
    const u8 = new Uint8Array(this.#source.buffer);
    const end = slot.ptr + slot.size;
    visit(u8, Math.max(slot.first, slot.ptr - CANARY_BYTES), slot.ptr);
    visit(u8, end, Math.min(slot.last, end + CANARY_BYTES));
  }
}

export interface SlotPlan {
  readonly count: number;
  readonly slotBytes: number;
  /** Bytes of all slots and guards. */
  readonly bytes: number;
}

/** The size of so many slots, each of whole pages. */
export function planSlots(count: number, leastBytes: number, pageBytes: number): SlotPlan {
  const slotBytes = up(leastBytes, pageBytes);
  return { count, slotBytes, bytes: pageBytes + count * (slotBytes + pageBytes) };
}

function up(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function down(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}
