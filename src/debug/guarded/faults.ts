/**
 * Accesses to guard pages. With the handler of `faults: true` their addresses are known: accesses
 * of wasm became errors, which wait until `explain` is called, and others went through, and are
 * reported by the next call that reads them. Without the handler an error names the likeliest
 * blocks.
 */
import { type Fault, type FaultWatch, osPages } from "../../memory/index.ts";
import type { Report } from "../report/report.ts";
import type { Entry, StackTable } from "../report/stack-table.ts";
import { guardHit, guardSomewhere, guardWild } from "./mistakes.ts";
import type { GuardSlots } from "./slots.ts";
import { openWatch, userLines } from "./traps.ts";

export class GuardFaults {
  readonly #slots: GuardSlots;
  readonly #stacks: StackTable;
  readonly #watch: FaultWatch | undefined;
  /** The address of the memory in the process. It does not move, because it is guarded. */
  readonly #base: number;
  /** Faults that became errors, and that no call of `explain` has asked for. */
  #thrown: Fault[] = [];

  /**
   * @param buffer The memory, if the handler is wanted.
   * @throws RangeError where there is no handler.
   */
  constructor(slots: GuardSlots, stacks: StackTable, buffer: ArrayBufferLike | undefined) {
    this.#slots = slots;
    this.#stacks = stacks;
    const os = buffer && osPages();
    this.#base = buffer && os?.available ? os.addressOf(buffer) : 0;
    const bytes = slots.to - slots.from;
    this.#watch = buffer ? openWatch(this.#base + slots.from, bytes) : undefined;
  }

  /** Whether `explain` knows addresses. */
  get known(): boolean {
    return this.#watch !== undefined;
  }

  /** Whether there may be new faults to read. */
  get pending(): boolean {
    return this.#watch?.pending === true;
  }

  /** Reports of faults that went through. Their pages are inaccessible again afterwards. */
  read(entry: Entry): Report[] {
    const faults = this.#watch?.read() ?? [];
    this.#thrown.push(...faults.filter(({ thrown }) => thrown));
    const opened = faults.filter(({ thrown }) => !thrown);
    if (opened.length === 0) return [];
    const stack = this.#stacks.capture(entry);
    const reports = opened.map((fault) => this.#report(fault, stack, "found"));
    for (const { address } of opened) this.#slots.protectAgain(address - this.#base);
    return reports;
  }

  /** The report of a trap; undefined if none of the known faults led to it. */
  explain(error: Error): Report | undefined {
    const stack = this.#stacks.internText(userLines(error), "");
    if (!this.#watch) return guardSomewhere(this.#stacks, this.#slots.recent(), stack);
    const fault = this.#thrown.at(-1);
    this.#thrown = [];
    return fault && this.#report(fault, stack, "accessed");
  }

  destroy(): void {
    this.#watch?.destroy();
  }

  #report(fault: Fault, stack: number, found: "accessed" | "found"): Report {
    const address = fault.address - this.#base;
    const access = { address, write: fault.write, stack, found };
    const block = this.#slots.closest(address);
    return block ? guardHit(this.#stacks, block, access) : guardWild(this.#stacks, access);
  }
}
