/** The reports of accesses to guard pages, and of calls with pointers among the guarded blocks. */
import { hex } from "../../common/errors.ts";
import {
  blockText,
  type Damage,
  doubleFree,
  heapOverflow,
  heapUnderflow,
  interiorPointer,
  notABlock,
  reportStacks,
  useAfterFree,
} from "../report/mistakes.ts";
import { Report, type ReportCode } from "../report/report.ts";
import type { StackTable } from "../report/stack-table.ts";
import type { GuardSlot } from "./slots.ts";

/** An access at a known address. */
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
    hitCode(block, offset),
    `${verb} ${hitText(block, offset)}: at offset ${offset}`,
    block.ptr,
    block.size,
    reportStacks(stacks, ...titled, [found, stack]),
  );
}

function hitCode(block: GuardSlot, offset: number): ReportCode {
  if (!block.live) return "ERR_USE_AFTER_FREE";
  return offset < 0 ? "ERR_HEAP_UNDERFLOW" : "ERR_HEAP_OVERFLOW";
}

function hitText(block: GuardSlot, offset: number): string {
  if (!block.live && offset >= 0 && offset < block.size) {
    return `of ${blockText(block)} after it was freed`;
  }
  const state = block.live ? "" : ", which is free";
  const side = offset < 0 ? "before the start of" : "past the end of";
  return `${side} ${blockText(block)}${state}`;
}

/** An access to a guard that has had no block on either side: a wild pointer. */
export function guardWild(stacks: StackTable, access: Access): Report {
  const verb = access.write ? "write" : "read";
  return new Report(
    "ERR_WILD_ACCESS",
    `${verb} at ${hex(access.address)}, which is not near a guarded block`,
    access.address,
    0,
    reportStacks(stacks, [access.found, access.stack]),
  );
}

/** The most blocks that the text names when the address is not known. */
const BLOCKS_SHOWN = 4;

/**
 * A trap at an address that is not known: at a guard page, or past the end of the memory. The
 * guarded blocks that were used last are the likeliest.
 */
export function guardSomewhere(
  stacks: StackTable,
  recent: readonly GuardSlot[],
  stack: number,
): Report {
  const shown = recent.slice(0, BLOCKS_SHOWN);
  const titled: [string, number][] = shown.flatMap((block) => {
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

/** A call with a pointer among the guarded blocks that is not a live block. */
export function wrongPointer(
  stacks: StackTable,
  call: string,
  ptr: number,
  slot: GuardSlot | undefined,
  nearest: GuardSlot | undefined,
  stack: number,
): Report {
  if (!slot?.ptr) return notABlock(stacks, call, ptr, nearest, stack);
  const offset = ptr - slot.ptr;
  if (offset < 0 || offset >= Math.max(slot.size, 1)) {
    return notABlock(stacks, call, ptr, slot, stack);
  }
  if (offset > 0) return interiorPointer(stacks, call, ptr, slot, stack);
  if (call !== "free") return useAfterFree(stacks, call, slot, stack);
  return doubleFree(stacks, slot, stack);
}

/** Bytes beside a block that were changed where no guard could see it. */
export function damagedBlock(
  stacks: StackTable,
  slot: GuardSlot,
  damage: Damage,
  stack: number,
): Report {
  const mistake = damage.at < slot.ptr ? heapUnderflow : heapOverflow;
  return mistake(stacks, slot, damage, stack);
}
