/** Marks and checks blocks, the zones around them and poison; collects reports of mistakes. */
import {
  type Damage,
  doubleFree,
  heapOverflow,
  heapUnderflow,
  interiorPointer,
  notABlock,
  notABlockAnyMore,
  useAfterFree,
  writeAfterFree,
} from "../report/mistakes.ts";
import type { Report } from "../report/report.ts";
import type { Stacks } from "../report/stack-table.ts";
import { type Block, checkedFrom, type Item, type Run } from "./block.ts";
import type { Finder, FreedHistory } from "./contract.ts";
import type { Detectors } from "./detectors.ts";
import { Large } from "./large.ts";
import type { Settings } from "./options.ts";
import { type Bytes, Zones } from "./zones.ts";

/** The most bytes of a sampled block that are marked: a block of megabytes must stay cheap. */
const SAMPLE_REACH = 4096;

/** Bytes of a page of memory, as far as it is known that it was given back. */
const CELL = 4096;

/** Calls that free; all others that find a freed block want to use it. */
const isFree = /^(c?free|operator delete)/;

export class ZoneChecks {
  /** What a call has found; sent when the call is over. */
  readonly reports: Report[] = [];
  readonly #stacks: Stacks;
  readonly #zones: Zones;
  readonly #detectors: Detectors;
  /** Pages of memory whose blocks were given back, and may be those of others by now. */
  readonly #givenBack = new Set<number>();
  /** The option `safety`: without it nothing is written and nothing is checked. */
  readonly #active: boolean;
  /** The most bytes of a block, from its start, that are marked as new or as freed. */
  readonly #reach: number;

  constructor(memory: Bytes, stacks: Stacks, settings: Settings) {
    this.#stacks = stacks;
    this.#zones = new Zones(memory, settings.canary);
    this.#detectors = settings.detectors;
    this.#active = settings.safety;
    this.#reach = settings.sampleEvery > 1 ? SAMPLE_REACH : Number.POSITIVE_INFINITY;
  }

  /** Fills a new block and its zones. */
  markNew(block: Block): void {
    if (!this.#active) return;
    const { ptr, size, to } = block;
    this.#zones.fillCanary(checkedFrom(block), ptr);
    this.#zones.fillFresh(ptr, ptr + Math.min(size, this.#reach));
    this.#zones.fillCanary(ptr + size, to);
  }

  /** Fills what a block of `before` bytes has gained in place, and its rear zone. */
  markResized({ ptr, size, to }: Block, before: number): void {
    if (!this.#active) return;
    const grown = Math.min(size - before, this.#reach);
    if (grown > 0) this.#zones.fillFresh(ptr + before, ptr + before + grown);
    this.#zones.fillCanary(ptr + size, to);
  }

  /** Fills the rear zone from an address on, when a block's memory becomes longer. */
  markRear({ to }: Block, from: number): void {
    if (this.#active) this.#zones.fillCanary(from, to);
  }

  /** Fills a freed block, zones included. */
  poison(block: Block): void {
    if (this.#active) this.#zones.fillFreed("poisoned", block.from, this.#poisonEnd(block));
  }

  /** Checks the zones of a live block, and fills them anew: each change is reported once. */
  checkZones(block: Block, stack: number): void {
    if (!this.#active) return;
    const { ptr, size, to } = block;
    const front = this.#canaryDamage(checkedFrom(block), ptr);
    if (front && this.#detectors.heapUnderflow) {
      this.reports.push(heapUnderflow(this.#stacks, block, front, stack));
    }
    const rear = this.#canaryDamage(ptr + size, to);
    if (rear && this.#detectors.heapOverflow) {
      this.reports.push(heapOverflow(this.#stacks, block, rear, stack));
    }
  }

  /** Checks the poison or the zeros of a freed block, and fills them anew. */
  checkPoison(block: Block, stack: number): void {
    if (!this.#active || block.freedState === "protected") return;
    const { freedState, from } = block;
    const end = this.#poisonEnd(block);
    const damage = this.#zones.freedDamage(freedState, from, end);
    if (!damage) return;
    this.#zones.fillFreed(freedState, from, end);
    if (this.#detectors.writeAfterFree) {
      this.reports.push(writeAfterFree(this.#stacks, block, damage, stack));
    }
  }

  /** checkPoison of all blocks of an item; one comparison if nothing was changed. */
  checkAllPoison(item: Item, stack: number): void {
    if (item instanceof Large) this.checkPoison(item, stack);
    else if (this.#active && this.#isDamaged(item)) {
      for (const block of item.blocks()) this.checkPoison(block, stack);
    }
  }

  #isDamaged({ freedState, base, end }: Item): boolean {
    if (freedState === "protected") return false;
    return this.#zones.freedDamage(freedState, base, end) !== undefined;
  }

  /** The memory of a run goes back: later pointers into it may be to earlier blocks. */
  markGivenBack({ base, bytes }: Run): void {
    for (let at = base; at < base + bytes; at += CELL) this.#givenBack.add(Math.floor(at / CELL));
  }

  #wasGivenBack(ptr: number): boolean {
    return this.#givenBack.has(Math.floor(ptr / CELL));
  }

  /** Reports a pointer that is not a live block. */
  rejectPointer(
    call: string,
    ptr: number,
    stack: number,
    table: Finder,
    history: FreedHistory,
  ): void {
    const report =
      this.#known(call, ptr, stack, table.covering(ptr)) ??
      this.#known(call, ptr, stack, history.findFreed(ptr)) ??
      this.#unknown(call, ptr, stack, table);
    if (report) this.reports.push(report);
  }

  #known(call: string, ptr: number, stack: number, block?: Block): Report | undefined {
    if (!block) return undefined;
    if (block.ptr === ptr) return this.#freed(call, block, stack);
    if (ptr <= block.ptr || ptr >= block.ptr + block.size) return undefined;
    if (!this.#detectors.interiorPointer) return undefined;
    return interiorPointer(this.#stacks, call, ptr, block, stack);
  }

  #freed(call: string, block: Block, stack: number): Report | undefined {
    const { doubleFree: twice, useAfterFree: use } = this.#detectors;
    const isReused = this.#wasGivenBack(block.ptr);
    if (isFree.test(call)) {
      return twice ? doubleFree(this.#stacks, block, stack, isReused) : undefined;
    }
    return use ? useAfterFree(this.#stacks, call, block, stack) : undefined;
  }

  #unknown(call: string, ptr: number, stack: number, table: Finder): Report | undefined {
    if (!this.#detectors.notABlock) return undefined;
    if (this.#wasGivenBack(ptr)) return notABlockAnyMore(this.#stacks, call, ptr, stack);
    return notABlock(this.#stacks, call, ptr, table.nearest(ptr), stack);
  }

  #poisonEnd({ from, to }: Block): number {
    return Math.min(to, from + this.#reach);
  }

  #canaryDamage(from: number, to: number): Damage | undefined {
    const damage = this.#zones.canaryDamage(from, to);
    if (damage) this.#zones.fillCanary(from, to);
    return damage;
  }
}
