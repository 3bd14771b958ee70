/**
 * Slots between guard pages, after GWP-ASan's pool (LLVM). All but the first guard repeats:
 *
 *   | guard | slot 0 | guard | slot 1 | guard | … | slot n-1 | guard |
 *
 * A block covers the end of its slot, or the beginning; only the pages that it touches are
 * accessible, and none of a slot that is free. Slots are used again in the order in which they were
 * freed, so a freed block stays inaccessible for as long as possible: live + free = count.
 */
import type { MemorySource, PageOperations } from "../../memory/index.ts";
import type { BlockFacts, Damage } from "../report/mistakes.ts";
import type { LazyStack } from "../report/stack-table.ts";
import type { GuardTable } from "./table.ts";

/** What is written beside a block, where its pages have more bytes than it. */
const CANARY = 0xc5;
/** The most bytes on either side that are written and looked at. */
const WATCHED = 64;

/** A slot, and the block that it has or had. Kept in JavaScript, out of reach of stray writes. */
export class GuardSlot implements BlockFacts {
  readonly index: number;
  readonly from: number;
  readonly to: number;
  /** 0 = it never had a block. */
  ptr = 0;
  size = 0;
  alignment = 0;
  live = false;
  readonly resized = 0;
  /** There are few slots, and few of their stacks are ever read. */
  allocatedBy: LazyStack | undefined;
  freedBy: LazyStack | undefined;
  /** The pages that are accessible while the block is live. */
  first = 0;
  last = 0;
  /** When the block came or went: greater is later. */
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
  /** The first guard begins here, a multiple of a page. */
  readonly from: number;
  readonly to: number;
  readonly all: GuardSlot[] = [];
  readonly slotBytes: number;
  readonly #source: MemorySource;
  readonly #pages: PageOperations;
  readonly #unit: number;
  /** Where other threads look blocks up, if they can. */
  readonly #table: GuardTable | undefined;
  readonly #free: GuardSlot[];
  /** Of the free slots, the one that is free for longest. */
  #oldest = 0;
  #live = 0;
  #open = 0;
  #clock = 0;

  /** The range must be there, and belong to nobody else. Makes all of it inaccessible. */
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
    const room = Math.max(size, 1);
    const ptr = atEnd ? down(slot.to - room, alignment) : up(slot.from, alignment);
    if (ptr < slot.from || ptr + room > slot.to) return undefined;
    const first = down(ptr, this.#unit);
    const last = up(ptr + room, this.#unit);
    if (!this.#pages.unprotect(first, last - first)) return undefined;
    this.#oldest = (this.#oldest + 1) % this.all.length;
    this.#live += 1;
    const order = ++this.#clock;
    Object.assign(slot, {
      ptr,
      size,
      alignment,
      live: true,
      freedBy: undefined,
      first,
      last,
      order,
    });
    this.#canaries(slot, (bytes, from, to) => bytes.fill(CANARY, from, to));
    this.#table?.came(slot.index, ptr, size);
    return slot;
  }

  /** A block is freed: from now on any access to it fails. Answers what was written beside it. */
  give(slot: GuardSlot): Damage | undefined {
    const found = this.damage(slot);
    slot.live = false;
    this.#table?.went(slot.index);
    slot.order = ++this.#clock;
    this.#free[(this.#oldest + this.all.length - this.#live) % this.all.length] = slot;
    this.#live -= 1;
    if (!this.#pages.protect(slot.first, slot.last - slot.first)) this.#open += 1;
    return found;
  }

  /** Slots whose blocks threads without these guards have freed, as often as they did it. */
  freedAfar(): GuardSlot[] {
    const slots: GuardSlot[] = [];
    for (const index of this.#table?.freedAfar() ?? []) slots.push(this.all[index] as GuardSlot);
    return slots;
  }

  /** Bytes from an address to the end of the live block around it; 0 = there is none. */
  sizeAt(address: number): number {
    const slot = this.slotAt(address);
    if (!slot?.live || address < slot.ptr || address > slot.ptr + slot.size) return 0;
    return slot.ptr + slot.size - address;
  }

  /** What was written beside a live block, in its own pages, where no guard could see it. */
  damage(slot: GuardSlot): Damage | undefined {
    let count = 0;
    let at = 0;
    this.#canaries(slot, (bytes, from, to) => {
      for (let address = from; address < to; address++) {
        if (bytes[address] === CANARY) continue;
        if (count === 0) at = address;
        count += 1;
      }
    });
    return count === 0 ? undefined : { at, count };
  }

  /** Blocks that are live, or freed and not followed by another, the latest first. */
  recent(): GuardSlot[] {
    return this.all.filter(({ ptr }) => ptr !== 0).sort((a, b) => b.order - a.order);
  }

  /** The slot that covers an address; undefined for a guard. */
  slotAt(address: number): GuardSlot | undefined {
    const slot = this.all[this.#index(address)];
    return slot && address >= slot.from ? slot : undefined;
  }

  /** The block that an access to a guard or a free slot must have missed, if there is one. */
  missed(address: number): GuardSlot | undefined {
    const here = this.slotAt(address);
    if (here?.ptr) return here;
    const index = this.#index(address);
    const [left, right] = [this.all[index - 1], this.all[index]];
    const leftAway = left?.ptr ? address - left.ptr - left.size : Number.POSITIVE_INFINITY;
    const rightAway = right?.ptr ? right.ptr - address : Number.POSITIVE_INFINITY;
    if (Math.min(leftAway, rightAway) === Number.POSITIVE_INFINITY) return undefined;
    return leftAway <= rightAway ? left : right;
  }

  /** Makes a page inaccessible again that a fault has opened, unless it is of a live block. */
  close(address: number): void {
    const slot = this.slotAt(address);
    if (slot?.live && address >= slot.first && address < slot.last) return;
    this.#pages.protect(down(address, this.#unit), this.#unit);
  }

  /** Makes everything accessible, for whoever has the range next. */
  end(): void {
    this.#pages.unprotect(this.from, this.to - this.from);
  }

  /** The slot that an address lies in, or in the guard before it. */
  #index(address: number): number {
    return Math.floor((address - this.from) / (this.slotBytes + this.#unit));
  }

  /** The bytes in front of a block and behind it that lie in its pages. */
  #canaries(slot: GuardSlot, visit: (bytes: Uint8Array, from: number, to: number) => void): void {
    const bytes = new Uint8Array(this.#source.buffer);
    const end = slot.ptr + slot.size;
    visit(bytes, Math.max(slot.first, slot.ptr - WATCHED), slot.ptr);
    visit(bytes, end, Math.min(slot.last, end + WATCHED));
  }
}

export interface SlotPlan {
  readonly count: number;
  readonly slotBytes: number;
  /** Of all slots and guards. */
  readonly bytes: number;
}

/** How much room so many slots take, each of whole pages. */
export function slotsPlan(count: number, leastBytes: number, pageBytes: number): SlotPlan {
  const slotBytes = up(leastBytes, pageBytes);
  return { count, slotBytes, bytes: pageBytes + count * (slotBytes + pageBytes) };
}

function up(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function down(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}
