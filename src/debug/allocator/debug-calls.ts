/**
 * The calls of a debug allocator: what each is on its core. Arguments are unsigned by then; a
 * request that cannot be met returns 0.
 */

import { EINVAL, ENOMEM } from "../../common/errno.ts";
import { outOfMemory, SIZE_LIMIT } from "../../common/errors.ts";
import { cellRead, cellWrite, wholeBytes } from "../../heap/calls/cells.ts";
import { type CallName, type CallRow, callRows } from "../../heap/calls/table.ts";
import {
  environmentCopy,
  pathCopy,
  stringCopy,
  type TextMemory,
  wideCopy,
} from "../../heap/calls/text.ts";
import type { Change } from "../store/request.ts";
import type { CallSite } from "./call-site.ts";
import type { DebugCore } from "./debug-core.ts";
import { changeOf, givenOf, type Read } from "./row-readers.ts";

/** A call on a core, made at a call site. */
export type DebugCall = (
  core: DebugCore,
  site: CallSite,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
) => number | boolean | undefined | void;

/** The calls that the table does not describe in full. */
const others = {
  reallocarr: (core, site, at, count, size) => {
    if (at === 0) return EINVAL;
    const ptr = cellRead(site.call, bytesOf(core), at);
    const to = resize(core, site, ptr, { size: count * size });
    if (to !== 0) cellWrite(site.call, bytesOf(core), at, to);
    return to === 0 ? ENOMEM : 0;
  },
  reallocf: (core, site, ptr, size) => {
    const to = resize(core, site, ptr, { size });
    if (to === 0 && core.isLive(ptr)) core.free(site, ptr);
    return to;
  },
  expand: (core, site, ptr, size) => {
    if (ptr === 0 || size > SIZE_LIMIT) return 0;
    return core.resize(site, ptr, { size, stay: true });
  },
  posixMemalign: (core, site, out, alignment, size) => {
    if (out === 0 || alignment < 4 || !isAlignment(alignment)) return EINVAL;
    const ptr = allocate(core, site, { size, align: { alignment, offset: 0 } });
    if (ptr !== 0) cellWrite(site.call, bytesOf(core), out, ptr);
    return ptr === 0 ? ENOMEM : 0;
  },
  cfree: (core, site, ptr) => {
    if (core.contains(ptr)) core.free(site, ptr);
  },

  usableSize: (core, site, ptr) => core.usable(site, ptr),
  mallocSize: (core, site, ptr) => core.usable(site, ptr),
  goodSize,
  mallocGoodSize: goodSize,
  contains: (core, _site, ptr) => core.contains(ptr),

  strdup: (core, site, ptr) => stringCopy(textsOf(core, site), ptr, Number.POSITIVE_INFINITY),
  strndup: (core, site, ptr, max) => stringCopy(textsOf(core, site), ptr, max),
  mbsdup: (core, site, ptr) => stringCopy(textsOf(core, site), ptr, Number.POSITIVE_INFINITY),
  wideDup: (core, site, ptr) => wideCopy(textsOf(core, site), ptr, 4),
  wcsdup: (core, site, ptr) => wideCopy(textsOf(core, site), ptr, 2),
  dupenvS: (core, site, out, size, name) =>
    environmentCopy(textsOf(core, site), [out, size, name], 1),
  wdupenvS: (core, site, out, size, name) =>
    environmentCopy(textsOf(core, site), [out, size, name], 2),
  realpath: (core, site, ptr, into = 0) => pathCopy(textsOf(core, site), ptr, into),

  setNewHandler: (core, _site, handler: unknown) => {
    core.newHandler = handler as DebugCore["newHandler"];
  },
} satisfies Partial<Record<CallName, DebugCall>>;

/** Every call. */
export const debugCalls = Object.fromEntries(
  callRows.map(([call, row]) => [call, (others as Record<string, DebugCall>)[call] ?? made(row)]),
) as Record<CallName, DebugCall>;

/** A call that its row describes. */
function made(row: CallRow): DebugCall {
  if (row.does === "free") {
    const given = givenOf(row);
    return (core, site, a, b, c, d, e) => core.free(site, a, given(a, b, c, d, e));
  }
  const read = changeOf(row);
  const call: DebugCall =
    row.does === "resize"
      ? (core, site, a, b, c, d, e) => resize(core, site, a, read(a, b, c, d, e))
      : (core, site, a, b, c, d, e) => allocate(core, site, read(a, b, c, d, e));
  return row.fails ? retrying(call, row, read) : call;
}

/**
 * As C++'s new: while memory is out, the handler may free some; for a request that no memory can
 * meet it is called once, and an overflow of `count * size` returns 0 then. A pointer that is not a
 * block has been reported, and no memory helps.
 */
function retrying(call: DebugCall, row: CallRow, read: Read<Change>): DebugCall {
  const throws = row.fails === "throws";
  const counts = row.args.includes("count");
  const isLost = row.does === "resize" ? isNotBlock : () => false;
  return (core, site, a, b, c, d, e) => {
    for (;;) {
      const ptr = call(core, site, a, b, c, d, e);
      const { newHandler } = core;
      if (ptr !== 0 || isLost(core, a)) return ptr;
      newHandler?.();
      const { size } = read(a, b, c, d, e);
      if (newHandler && size <= SIZE_LIMIT) continue;
      if (newHandler && counts) return 0;
      if (throws) throw outOfMemory(site.call, size);
      return 0;
    }
  };
}

function isNotBlock(core: DebugCore, ptr: number): boolean {
  return ptr !== 0 && !core.isLive(ptr);
}

/** A block; 0 for a request that no block can meet. */
export function allocate(core: DebugCore, site: CallSite, request: Change): number {
  return isPossible(request) ? core.request(site, request) : 0;
}

function resize(core: DebugCore, site: CallSite, ptr: number, change: Change): number {
  return isPossible(change) ? core.resize(site, ptr, change) : 0;
}

function isPossible({ size, align }: Change): boolean {
  return size <= SIZE_LIMIT && (align === undefined || isAlignment(align.alignment));
}

function isAlignment(number: number): boolean {
  return number !== 0 && (number & (number - 1)) === 0 && number <= 2 ** 30;
}

/** Nothing is rounded: what is beyond the size that was asked for is not the program's. */
function goodSize(core: DebugCore, _site: CallSite, size: number): number {
  core.checkLive();
  return size;
}

function textsOf(core: DebugCore, site: CallSite): TextMemory {
  const { call } = site;
  return { call, malloc: (size) => allocate(core, site, { size }), bytes: () => bytesOf(core) };
}

/** The memory as it is now, also what a program has grown a shared one by. */
export function bytesOf({ backing }: DebugCore): Uint8Array {
  return wholeBytes(backing.u8, backing.allocator.source?.buffer);
}
