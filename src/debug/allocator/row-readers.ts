/** What a call asks for, read out of its arguments as its row in the table of calls says. */
import { type ArgumentKind, type CallRow, OS_PAGE } from "../../heap/calls/table.ts";
import type { AlignmentRequest } from "../store/block.ts";
import type { Change, Given } from "../store/request.ts";

/** Something out of the arguments of a call. Not as an array: unguarded blocks take this path. */
export type Read<T> = (a: number, b: number, c: number, d: number, e: number) => T;

/** The argument at each index. */
const argument: readonly Read<number>[] = [
  (a) => a,
  (_a, b) => b,
  (_a, _b, c) => c,
  (_a, _b, _c, d) => d,
  (_a, _b, _c, _d, e) => e,
];

/** The argument of one of these kinds, if the call has one. */
function pick({ args }: CallRow, ...kinds: ArgumentKind[]): Read<number> | undefined {
  return argument[args.findIndex((kind) => kinds.includes(kind))];
}

/** What a call asks for. */
export function changeOf(row: CallRow): Read<Change> {
  const bytes = bytesOf(row);
  const align = alignOf(row);
  const zero = row.zero === true;
  if (!align) return (a, b, c, d, e) => ({ size: bytes(a, b, c, d, e), zero });
  return (a, b, c, d, e) => ({
    size: bytes(a, b, c, d, e),
    align: align(a, b, c, d, e),
    zero,
  });
}

function bytesOf(row: CallRow): Read<number> {
  const size = pick(row, "size", "word")!;
  const count = pick(row, "count");
  if (row.page === "rounded") {
    return (a, b, c, d, e) => Math.ceil(size(a, b, c, d, e) / OS_PAGE) * OS_PAGE;
  }
  if (!count) return size;
  return (a, b, c, d, e) => count(a, b, c, d, e) * size(a, b, c, d, e);
}

function alignOf(row: CallRow): Read<AlignmentRequest> | undefined {
  if (row.page) return () => ({ alignment: OS_PAGE, offset: 0 });
  const wanted = pick(row, "alignment");
  if (!wanted) return undefined;
  const offset = pick(row, "offset") ?? (() => 0);
  return (a, b, c, d, e) => ({
    alignment: wanted(a, b, c, d, e),
    offset: offset(a, b, c, d, e),
  });
}

/** What a call that frees says of the block; undefined if nothing. */
export function givenOf(row: CallRow): Read<Given | undefined> {
  const size = pick(row, "size");
  const alignment = pick(row, "alignment");
  if (!size && !alignment) return () => undefined;
  return (a, b, c, d, e) => ({
    ...(size && { size: size(a, b, c, d, e) }),
    ...(alignment && { alignment: alignment(a, b, c, d, e) }),
  });
}
