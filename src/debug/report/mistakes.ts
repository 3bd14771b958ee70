/** The reports of mistakes with blocks: one function for each. */
import { hex } from "../../common/errors.ts";
import { Report, type ReportCode, type ReportStack } from "./report.ts";
import type { Stacks } from "./stack-table.ts";

/** What is known of a block. Stacks are numbers, 0 if there is none. */
export interface BlockFacts {
  readonly ptr: number;
  /** Bytes that were requested. */
  readonly size: number;
  readonly alignment: number;
  readonly live: boolean;
  readonly allocated: number;
  readonly resized: number;
  readonly freed: number;
}

/** Blocks with the same stacks that were not freed. */
export interface LeakGroup {
  readonly allocated: number;
  readonly resized: number;
  readonly ptrs: readonly number[];
  readonly bytes: number;
}

/** Bytes that were changed: the address of the first, and how many there are. */
export interface Damage {
  readonly at: number;
  readonly count: number;
}

function bytes(count: number): string {
  return count === 1 ? "1 byte" : `${count} bytes`;
}

function blocks(count: number): string {
  return count === 1 ? "1 block" : `${count} blocks`;
}

export function blockText({ size, ptr }: BlockFacts): string {
  return `the block of ${bytes(size)} at ${hex(ptr)}`;
}

/** Stacks with titles. Leaves out those that were not taken, except the last. */
export function reportStacks(
  stacks: Stacks,
  ...titled: [title: string, stack: number][]
): ReportStack[] {
  return titled
    .filter(([, stack], index) => stack !== 0 || index === titled.length - 1)
    .map(([title, stack]) => ({
      title: title + threadText(stacks, stack),
      frames: stacks.frames(stack),
    }));
}

/** The thread of a stack, where several threads use an allocator. */
function threadText(stacks: Stacks, stack: number): string {
  const thread = stacks.threadOf?.(stack);
  return thread === undefined ? "" : ` by thread ${thread}`;
}

function history(block: BlockFacts, last: [string, number]): [string, number][] {
  return [["allocated", block.allocated], ["resized", block.resized], last];
}

/** A free of a block that is free, and was not allocated again since. */
export function doubleFree(
  stacks: Stacks,
  block: BlockFacts,
  now: number,
  isReused = false,
): Report {
  const doubt = isReused
    ? "; earlier blocks had this address, and one of the two frees may be a late one of theirs: " +
      "neverUnmap: true makes sure"
    : "";
  return new Report(
    "ERR_DOUBLE_FREE",
    `double free of ${blockText(block)}${doubt}`,
    block.ptr,
    block.size,
    reportStacks(stacks, ...history(block, ["freed first", block.freed]), ["freed again", now]),
  );
}

/** Calls that resize, under the names of JavaScript and of C. */
const isResize = /re[cz]?alloc|expand/i;

/** A call with a block that is free: mostly a realloc. */
export function useAfterFree(stacks: Stacks, call: string, block: BlockFacts, now: number): Report {
  return new Report(
    isResize.test(call) ? "ERR_REALLOC_AFTER_FREE" : "ERR_USE_AFTER_FREE",
    `${call} of ${blockText(block)} after it was freed`,
    block.ptr,
    block.size,
    reportStacks(stacks, ...history(block, ["freed", block.freed]), ["used", now]),
  );
}

/** A pointer that another allocator returned, or that was computed wrong. */
export function notABlock(
  stacks: Stacks,
  call: string,
  ptr: number,
  nearest: BlockFacts | undefined,
  now: number,
): Report {
  const code = "ERR_NOT_A_BLOCK";
  const message = `${call} of ${hex(ptr)}, which is not a block`;
  if (!nearest) return new Report(code, message, ptr, 0, reportStacks(stacks, [call, now]));
  return new Report(
    code,
    `${message}; ${distance(ptr, nearest)} ${blockText(nearest)}`,
    ptr,
    0,
    reportStacks(
      stacks,
      ["nearest allocated", nearest.allocated],
      ["nearest freed", nearest.freed],
      [call, now],
    ),
  );
}

/** A pointer into memory that left the quarantine: the block that was there is not known. */
export function notABlockAnyMore(stacks: Stacks, call: string, ptr: number, now: number): Report {
  return new Report(
    "ERR_NOT_A_BLOCK",
    `${call} of ${hex(ptr)}, which is not a block now; blocks there were freed and their memory ` +
      "was given back, so this may be a block that was freed before: retainMetadata: true or " +
      "neverUnmap: true shows which",
    ptr,
    0,
    reportStacks(stacks, [call, now]),
  );
}

function distance(ptr: number, { ptr: start, size }: BlockFacts): string {
  if (ptr < start) return `${bytes(start - ptr)} before`;
  return ptr < start + size ? "inside" : `${bytes(ptr - start - size)} past the end of`;
}

/** A pointer into a block: after pointer arithmetic, or to a member that is not the first. */
export function interiorPointer(
  stacks: Stacks,
  call: string,
  ptr: number,
  block: BlockFacts,
  now: number,
): Report {
  const state = block.live ? "" : ", which is free";
  return new Report(
    "ERR_INTERIOR_POINTER",
    `${call} of ${hex(ptr)}, ${bytes(ptr - block.ptr)} into ${blockText(block)}${state}`,
    ptr,
    block.size,
    reportStacks(stacks, ...history(block, ["freed", block.freed]), [call, now]),
  );
}

/** A free or resize with another size than was requested. */
export function sizeMismatch(
  stacks: Stacks,
  call: string,
  block: BlockFacts,
  given: number,
  now: number,
): Report {
  return new Report(
    "ERR_SIZE_MISMATCH",
    `${call} of ${blockText(block)} with a size of ${given}`,
    block.ptr,
    block.size,
    reportStacks(stacks, ...history(block, [call, now])),
  );
}

/** A free or resize with another alignment than was requested. */
export function alignmentMismatch(
  stacks: Stacks,
  call: string,
  block: BlockFacts,
  given: number,
  now: number,
): Report {
  return new Report(
    "ERR_ALIGNMENT_MISMATCH",
    `${call} of ${blockText(block)}, aligned to ${block.alignment}, with an alignment of ${given}`,
    block.ptr,
    block.size,
    reportStacks(stacks, ...history(block, [call, now])),
  );
}

function damaged(
  code: ReportCode,
  what: string,
  { ptr, size }: BlockFacts,
  { at, count }: Damage,
  stacks: ReportStack[],
): Report {
  const text = `${what}: ${bytes(count)} changed, the first at offset ${at - ptr}`;
  return new Report(code, text, ptr, size, stacks);
}

/** A loop that goes one too far, or a string without space for its NUL. */
export function heapOverflow(
  stacks: Stacks,
  block: BlockFacts,
  damage: Damage,
  now: number,
): Report {
  const what = `write past the end of ${blockText(block)}`;
  const shown = reportStacks(stacks, ...history(block, ["found", now]));
  return damaged("ERR_HEAP_OVERFLOW", what, block, damage, shown);
}

/** An index below zero. */
export function heapUnderflow(
  stacks: Stacks,
  block: BlockFacts,
  damage: Damage,
  now: number,
): Report {
  const what = `write before the start of ${blockText(block)}`;
  const shown = reportStacks(stacks, ...history(block, ["found", now]));
  return damaged("ERR_HEAP_UNDERFLOW", what, block, damage, shown);
}

/** A write through a pointer that was kept too long. */
export function writeAfterFree(
  stacks: Stacks,
  block: BlockFacts,
  damage: Damage,
  now: number,
): Report {
  const what = `write to ${blockText(block)} after it was freed`;
  const shown = reportStacks(stacks, ...history(block, ["freed", block.freed]), ["found", now]);
  return damaged("ERR_WRITE_AFTER_FREE", what, block, damage, shown);
}

/** A call by another thread than the owner of an allocator that is not thread-safe. */
export function wrongThread(
  stacks: Stacks,
  call: string,
  threads: { owner: number; user: number; used: number },
  created: number,
  now: number,
): Report {
  const used = threads.used === created ? 0 : threads.used;
  return new Report(
    "ERR_WRONG_THREAD",
    `${call} by thread ${threads.user} of an allocator of thread ${threads.owner}`,
    0,
    0,
    reportStacks(
      stacks,
      ["created", created],
      [`last used by thread ${threads.owner}`, used],
      [call, now],
    ),
  );
}

/** A write far outside of a block, into what the allocator below keeps in memory. */
export function heapDamaged(stacks: Stacks, cause: unknown, now: number): Report {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new Report(
    "ERR_HEAP_DAMAGED",
    "a stray write has damaged the allocator below the debug allocator, which does without it " +
      `from now on: ${why}`,
    0,
    0,
    reportStacks(stacks, ["found", now]),
  );
}

/** A request beyond requestedMemoryLimit. The call returns 0, as if memory were out. */
export function memoryLimit(
  stacks: Stacks,
  request: { size: number; total: number; limit: number },
  now: number,
): Report {
  const { size, total, limit } = request;
  return new Report(
    "ERR_MEMORY_LIMIT",
    `request of ${bytes(size)} over the limit of ${bytes(limit)}, ${total} in use`,
    0,
    size,
    reportStacks(stacks, ["requested", now]),
  );
}

/** The most blocks of a group whose addresses the text shows. */
const PTRS_SHOWN = 4;

/** Blocks that are live when none should be: one report, the groups with most bytes first. */
export function leak(stacks: Stacks, groups: readonly LeakGroup[]): Report {
  const sorted = [...groups].sort((a, b) => b.bytes - a.bytes);
  const total = sorted.reduce((sum, group) => sum + group.bytes, 0);
  const count = sorted.reduce((sum, group) => sum + group.ptrs.length, 0);
  return new Report(
    "ERR_LEAK",
    `leak: ${blocks(count)} of ${bytes(total)} never freed`,
    sorted[0]?.ptrs[0] ?? 0,
    total,
    sorted.flatMap((group) => leakStacks(stacks, group)),
  );
}

function leakStacks(stacks: Stacks, { allocated, resized, ptrs, bytes: sum }: LeakGroup) {
  const shown = ptrs.slice(0, PTRS_SHOWN).map(hex);
  if (ptrs.length > PTRS_SHOWN) shown.push("…");
  const title = `${blocks(ptrs.length)} of ${bytes(sum)} (${shown.join(", ")}) allocated`;
  const more: [string, number][] = resized === 0 ? [] : [["resized", resized]];
  return reportStacks(stacks, [title, allocated], ...more);
}

/** A view was collected as garbage, and its block is still live: nothing can free it any more. */
export function forgottenHandle(stacks: Stacks, block: BlockFacts): Report {
  return new Report(
    "ERR_FORGOTTEN_HANDLE",
    `forgotten handle: ${blockText(block)} is still allocated, but its handle was collected`,
    block.ptr,
    block.size,
    reportStacks(stacks, ["allocated", block.allocated]),
  );
}
