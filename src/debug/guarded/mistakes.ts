/** What is said of an access to a guard page. */
import { hex } from "../../common/errors.ts";
import { blockText, reportStacks } from "../report/mistakes.ts";
import { Report } from "../report/report.ts";
import type { StackTable } from "../report/stack-table.ts";
import type { GuardSlot } from "./slots.ts";

/** An access at an address that is known. */
export interface Access {
  readonly address: number;
  readonly write: boolean;
  /** The stack of the access, or of the call that found it. */
  readonly stack: number;
  readonly found: "accessed" | "found";
}

/** An access beside a block, or to one that is free. */
export function guardHit(stacks: StackTable, block: GuardSlot, access: Access): Report {
  const { address, write, stack, found } = access;
  const verb = write ? "write" : "read";
  const offset = address - block.ptr;
  const titled: [string, number][] = [["allocated", block.allocated]];
  if (!block.live) titled.push(["freed", block.freed]);
  return new Report(
    block.live ? "ERR_OUT_OF_BOUNDS" : "ERR_USE_AFTER_FREE",
    `${verb} ${place(block, offset)}: at offset ${offset}`,
    block.ptr,
    block.size,
    reportStacks(stacks, ...titled, [found, stack]),
  );
}

function place(block: GuardSlot, offset: number): string {
  if (!block.live && offset >= 0 && offset < block.size) {
    return `of ${blockText(block)} after it was freed`;
  }
  const state = block.live ? "" : ", which is free";
  const side = offset < 0 ? "before the start of" : "past the end of";
  return `${side} ${blockText(block)}${state}`;
}

/** An access to a guard that has no block on either side yet: a wild pointer. */
export function guardWild(stacks: StackTable, access: Access): Report {
  const verb = access.write ? "write" : "read";
  return new Report(
    "ERR_OUT_OF_BOUNDS",
    `${verb} at ${hex(access.address)}, near no block`,
    access.address,
    0,
    reportStacks(stacks, [access.found, access.stack]),
  );
}

/** How many blocks are named when nobody knows which it was. */
const NAMED = 4;

/**
 * A trap whose address is not known. It may be at a guard page, or behind the end of the memory; of
 * the guarded blocks the last ones are the likeliest, and one of one is a guess all the same.
 */
export function guardSomewhere(
  stacks: StackTable,
  recent: readonly GuardSlot[],
  stack: number,
): Report {
  const named = recent.slice(0, NAMED);
  const titled: [string, number][] = named.flatMap((block) => {
    const title = `perhaps ${blockText(block)}, allocated`;
    const allocated: [string, number] = [title, block.allocated];
    return block.live ? [allocated] : [allocated, ["freed", block.freed] as [string, number]];
  });
  const count = recent.length === 1 ? "1 guarded block" : `${recent.length} guarded blocks`;
  return new Report(
    "ERR_OUT_OF_BOUNDS",
    `access out of bounds, perhaps of one of ${count}: its address is known with \`faults: true\``,
    0,
    0,
    reportStacks(stacks, ...titled, ["accessed", stack]),
  );
}
