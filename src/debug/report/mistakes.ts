/** What a program can do wrong with its blocks: one function a mistake. */
import { hex } from "../../common/errors.ts";
import { type MistakeCode, Report, type ReportStack } from "./report.ts";
import type { Stacks } from "./stack-table.ts";

/** What is known of a block; stacks by number, 0 for none. */
export interface BlockFacts {
  readonly ptr: number;
  /** Bytes that were asked for. */
  readonly size: number;
  readonly alignment: number;
  readonly live: boolean;
  readonly allocated: number;
  readonly resized: number;
  readonly freed: number;
}

/** Blocks from one place that were not freed. */
export interface LeakGroup {
  readonly allocated: number;
  readonly resized: number;
  readonly ptrs: readonly number[];
  readonly bytes: number;
}

/** Bytes that somebody has changed: how many, and the address of the first. */
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

/** Stacks under their titles; those that nobody took are left out, all but the last. */
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

/** Where several threads use an allocator, each stack is one thread's. */
function threadText(stacks: Stacks, stack: number): string {
  const thread = stacks.threadOf?.(stack);
  return thread === undefined ? "" : ` by thread ${thread}`;
}

function story(block: BlockFacts, last: [string, number]): [string, number][] {
  return [["allocated", block.allocated], ["resized", block.resized], last];
}

/** A free of a block that is free, and was not given out again since. */
export function doubleFree(stacks: Stacks, block: BlockFacts, now: number): Report {
  return new Report(
    "ERR_DOUBLE_FREE",
    `double free of ${blockText(block)}`,
    block.ptr,
    block.size,
    reportStacks(stacks, ...story(block, ["freed first", block.freed]), ["freed again", now]),
  );
}

/** A call about a block that is free: a realloc after free, mostly. */
export function useAfterFree(stacks: Stacks, call: string, block: BlockFacts, now: number): Report {
  return new Report(
    "ERR_USE_AFTER_FREE",
    `${call} of ${blockText(block)} after it was freed`,
    block.ptr,
    block.size,
    reportStacks(stacks, ...story(block, ["freed", block.freed]), ["used", now]),
  );
}

/** A pointer from elsewhere, or one that was computed wrong. */
export function invalidFree(
  stacks: Stacks,
  call: string,
  ptr: number,
  nearest: BlockFacts | undefined,
  now: number,
): Report {
  const message = `${call} of ${hex(ptr)}, which is no block`;
  if (!nearest)
    return new Report("ERR_INVALID_FREE", message, ptr, 0, reportStacks(stacks, [call, now]));
  return new Report(
    "ERR_INVALID_FREE",
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

function distance(ptr: number, { ptr: start, size }: BlockFacts): string {
  if (ptr < start) return `${bytes(start - ptr)} before`;
  return ptr < start + size ? "inside" : `${bytes(ptr - start - size)} behind the end of`;
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
    reportStacks(stacks, ...story(block, ["freed", block.freed]), [call, now]),
  );
}

/** A free or resize that says another size than the block was asked for with. */
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
    reportStacks(stacks, ...story(block, [call, now])),
  );
}

/** A free or resize that says another alignment than the block was asked for with. */
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
    reportStacks(stacks, ...story(block, [call, now])),
  );
}

function damaged(
  code: MistakeCode,
  what: string,
  { ptr, size }: BlockFacts,
  { at, count }: Damage,
  found: ReportStack[],
): Report {
  const text = `${what}: ${bytes(count)} changed, the first at offset ${at - ptr}`;
  return new Report(code, text, ptr, size, found);
}

/** A loop that goes one too far, a string without room for its NUL. */
export function writePastEnd(
  stacks: Stacks,
  block: BlockFacts,
  damage: Damage,
  now: number,
): Report {
  const what = `write past the end of ${blockText(block)}`;
  const found = reportStacks(stacks, ...story(block, ["found", now]));
  return damaged("ERR_WRITE_PAST_END", what, block, damage, found);
}

/** An index below zero. */
export function writeBeforeStart(
  stacks: Stacks,
  block: BlockFacts,
  damage: Damage,
  now: number,
): Report {
  const what = `write before the start of ${blockText(block)}`;
  const found = reportStacks(stacks, ...story(block, ["found", now]));
  return damaged("ERR_WRITE_BEFORE_START", what, block, damage, found);
}

/** A write through a pointer that was kept too long. */
export function writeAfterFree(
  stacks: Stacks,
  block: BlockFacts,
  damage: Damage,
  now: number,
): Report {
  const what = `write to ${blockText(block)} after it was freed`;
  const found = reportStacks(stacks, ...story(block, ["freed", block.freed]), ["found", now]);
  return damaged("ERR_WRITE_AFTER_FREE", what, block, damage, found);
}

/** A call by another thread than the one that made an allocator which is not thread-safe. */
export function wrongThread(
  stacks: Stacks,
  call: string,
  threads: { owner: number; user: number },
  created: number,
  now: number,
): Report {
  return new Report(
    "ERR_WRONG_THREAD",
    `${call} by thread ${threads.user} of an allocator of thread ${threads.owner}`,
    0,
    0,
    reportStacks(stacks, ["created", created], [call, now]),
  );
}

/** A request beyond requestedMemoryLimit. It is answered with 0, as if memory were out. */
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

/** How many blocks of a leaking place the text names. */
const PTRS_NAMED = 4;

/** Blocks that are live when none should be: one report, the places with most bytes first. */
export function leak(stacks: Stacks, groups: readonly LeakGroup[]): Report {
  const sorted = [...groups].sort((a, b) => b.bytes - a.bytes);
  const total = sorted.reduce((sum, group) => sum + group.bytes, 0);
  const count = sorted.reduce((sum, group) => sum + group.ptrs.length, 0);
  return new Report(
    "ERR_LEAK",
    `leak: ${blocks(count)} of ${bytes(total)} never freed`,
    sorted[0]?.ptrs[0] ?? 0,
    total,
    sorted.flatMap((group) => leakTraces(stacks, group)),
  );
}

function leakTraces(stacks: Stacks, { allocated, resized, ptrs, bytes: sum }: LeakGroup) {
  const named = ptrs.slice(0, PTRS_NAMED).map(hex);
  if (ptrs.length > PTRS_NAMED) named.push("…");
  const title = `${blocks(ptrs.length)} of ${bytes(sum)} (${named.join(", ")}) allocated`;
  const more: [string, number][] = resized === 0 ? [] : [["resized", resized]];
  return reportStacks(stacks, [title, allocated], ...more);
}

/** The garbage collector took the view, and the block that only it led to is still there. */
export function forgottenHandle(stacks: Stacks, block: BlockFacts): Report {
  return new Report(
    "ERR_FORGOTTEN_HANDLE",
    `forgotten handle: ${blockText(block)} is still allocated, but what held it was collected`,
    block.ptr,
    block.size,
    reportStacks(stacks, ["allocated", block.allocated]),
  );
}
