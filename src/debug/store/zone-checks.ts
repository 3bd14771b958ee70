/** Looks at blocks, at the zones around them and at poison; piles up reports of what is wrong. */

import {
  type Damage,
  doubleFree,
  interiorPointer,
  invalidFree,
  useAfterFree,
  writeAfterFree,
  writeBeforeStart,
  writePastEnd,
} from "../report/mistakes.ts";
import type { Report } from "../report/report.ts";
import type { Stacks } from "../report/stack-table.ts";
import { type Block, checkedFrom, type Item, Large } from "./block.ts";
import type { Finder, FreedHistory } from "./blocks.ts";
import type { Settings } from "./options.ts";
import { detectors } from "./switches.ts";
import { type Bytes, Zones } from "./zones.ts";

/** A sample must stay cheap also when it hits a block of megabytes. */
const SAMPLE_REACH = 4096;

/** Calls that say that a block is no longer needed; all others want to use it. */
const isFree = /^(c?free|operator delete)/;

export class ZoneChecks {
  /** What was found during a call, told when it is over. */
  readonly reports: Report[] = [];
  readonly #stacks: Stacks;
  readonly #zones: Zones;
  /** Option safety: without it nothing is written and nothing looked at. */
  readonly #active: boolean;
  /** The most bytes of a block, from its start, that are marked as new and as freed. */
  readonly #reach: number;

  constructor(memory: Bytes, stacks: Stacks, settings: Settings) {
    this.#stacks = stacks;
    this.#zones = new Zones(memory, settings.canary);
    this.#active = settings.safety;
    this.#reach = settings.sampleEvery > 1 ? SAMPLE_REACH : Number.POSITIVE_INFINITY;
  }

  /** A new block between its zones. */
  markNew(block: Block): void {
    if (!this.#active) return;
    const { ptr, size, to } = block;
    this.#zones.fillCanary(checkedFrom(block), ptr);
    this.#zones.fillFresh(ptr, ptr + Math.min(size, this.#reach));
    this.#zones.fillCanary(ptr + size, to);
  }

  /** A block that was resized in place, from `before` bytes. */
  markResized({ ptr, size, to }: Block, before: number): void {
    if (!this.#active) return;
    const grown = Math.min(size - before, this.#reach);
    if (grown > 0) this.#zones.fillFresh(ptr + before, ptr + before + grown);
    this.#zones.fillCanary(ptr + size, to);
  }

  /** Memory that comes behind a block. */
  markRear({ to }: Block, from: number): void {
    if (this.#active) this.#zones.fillCanary(from, to);
  }

  /** A freed block, zones too. */
  poison(block: Block): void {
    if (this.#active) this.#zones.fillFreed("poisoned", block.from, this.#poisonEnd(block));
  }

  /** A live block's zones. What is reported is mended, so that it is not reported again. */
  checkZones(block: Block, stack: number): void {
    if (!this.#active) return;
    const { ptr, size, to } = block;
    const before = this.#canaryDamage(checkedFrom(block), ptr);
    if (before && detectors.writeBeforeStart) {
      this.reports.push(writeBeforeStart(this.#stacks, block, before, stack));
    }
    const behind = this.#canaryDamage(ptr + size, to);
    if (behind && detectors.writePastEnd) {
      this.reports.push(writePastEnd(this.#stacks, block, behind, stack));
    }
  }

  /** A freed block's poison, or zeros. What is reported is mended. */
  checkPoison(block: Block, stack: number): void {
    if (!this.#active || block.freedState === "protected") return;
    const { freedState, from } = block;
    const end = this.#poisonEnd(block);
    const damage = this.#zones.freedDamage(freedState, from, end);
    if (!damage) return;
    this.#zones.fillFreed(freedState, from, end);
    if (detectors.writeAfterFree) {
      this.reports.push(writeAfterFree(this.#stacks, block, damage, stack));
    }
  }

  /** checkPoison of a page or large block: in one sweep, if all is well. */
  checkAllPoison(item: Item, stack: number): void {
    if (item instanceof Large) this.checkPoison(item, stack);
    else if (this.#active && this.#isDamaged(item)) {
      for (const block of item.blocks()) this.checkPoison(block, stack);
    }
  }

  #isDamaged({ freedState, base, end }: Item): boolean {
    return (
      freedState !== "protected" && this.#zones.freedDamage(freedState, base, end) !== undefined
    );
  }

  /** Says what is wrong with a pointer that is no live block. */
  rejectPointer(
    call: string,
    ptr: number,
    stack: number,
    table: Finder,
    retired: FreedHistory,
  ): void {
    const report =
      this.#known(call, ptr, stack, table.covering(ptr)) ??
      this.#known(call, ptr, stack, retired.findFreed(ptr)) ??
      this.#unknown(call, ptr, stack, table);
    if (report) this.reports.push(report);
  }

  #known(call: string, ptr: number, stack: number, block?: Block): Report | undefined {
    if (!block) return undefined;
    if (block.ptr === ptr) return this.#freed(call, block, stack);
    if (ptr <= block.ptr || ptr >= block.ptr + block.size) return undefined;
    if (!detectors.interiorPointer) return undefined;
    return interiorPointer(this.#stacks, call, ptr, block, stack);
  }

  #freed(call: string, block: Block, stack: number): Report | undefined {
    if (isFree.test(call)) {
      return detectors.doubleFree ? doubleFree(this.#stacks, block, stack) : undefined;
    }
    return detectors.useAfterFree ? useAfterFree(this.#stacks, call, block, stack) : undefined;
  }

  #unknown(call: string, ptr: number, stack: number, table: Finder): Report | undefined {
    if (!detectors.invalidFree) return undefined;
    return invalidFree(this.#stacks, call, ptr, table.nearest(ptr), stack);
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
