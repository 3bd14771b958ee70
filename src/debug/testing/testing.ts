/** Checks for tests, under any runner: code that must not make a mistake with memory. */
import { wrongKind } from "../../common/errors.ts";
import { type DebugAllocator, debug } from "../allocator/allocator.ts";
import { MemoryMistake, type Report } from "../report/report.ts";
import type { BackingAllocator } from "../store/allocator-like.ts";
import type { DebugOptions } from "../store/options.ts";
import { failing } from "./failing.ts";

/** Code under test. It gets the debug allocator. */
type Body<R> = (heap: DebugAllocator) => R;

/**
 * Runs `body` with a debug allocator over `allocator`, and throws if it leaks a block or makes
 * another mistake: one MemoryMistake with all reports. Returns what the body returns; if that is a
 * promise, waits for it. An error that the body throws comes first, and its blocks are given back.
 *
 * @param allocator Stays usable afterwards.
 * @param options Of the debug allocator; `onReport` has no effect.
 * @throws MemoryMistake
 * @example
 * test("parse frees what it allocates", () => expectNoLeaks(createHeap(), (heap) => parse(heap)));
 */
export function expectNoLeaks<R>(
  allocator: BackingAllocator,
  body: Body<R>,
  options: DebugOptions = {},
): R {
  checkBody("expectNoLeaks", body);
  const reports: Report[] = [];
  const heap = debug(allocator, {
    reportAtExit: false,
    ...options,
    onReport: (report) => reports.push(report),
  });
  return settle(
    () => body(heap),
    () => {
      heap.destroy();
      const [first, ...others] = reports;
      if (first) throw new MemoryMistake(first, others);
    },
    () => void heap.destroy(),
  );
}

/** Runs `done` after a body, also one that returns a promise, or `failed` if it has thrown. */
function settle<R>(body: () => R, done: () => void, failed: () => void): R {
  let result: R;
  try {
    result = body();
  } catch (error) {
    failed();
    throw error;
  }
  if (result instanceof Promise) return settleLater(result, done, failed) as R;
  done();
  return result;
}

async function settleLater<T>(result: Promise<T>, done: () => void, failed: () => void) {
  const value = await result.catch((error) => {
    failed();
    throw error;
  });
  done();
  return value;
}

/**
 * Runs `body` again and again, each time without memory from another request on: from the first,
 * from the second, until a run needs no more. No run may leak or make another mistake, even if it
 * throws ERR_OUT_OF_MEMORY. Returns the number of runs.
 *
 * @param allocator Stays usable afterwards.
 * @param options Of the debug allocators; `onReport` has no effect.
 * @throws MemoryMistake, or any other error that the body throws.
 * @example
 * await expectNoLeaksWhenFull(createHeap(), (heap) => parse(heap));
 */
export async function expectNoLeaksWhenFull(
  allocator: BackingAllocator,
  body: Body<unknown>,
  options: DebugOptions = {},
): Promise<number> {
  checkBody("expectNoLeaksWhenFull", body);
  for (let runs = 1; ; runs++) {
    let requests = 0;
    const run = async (heap: DebugAllocator) => {
      await body(failing(heap, () => ++requests >= runs));
    };
    await expectNoLeaks(allocator, (heap) => run(heap).catch(ignoreOutOfMemory), options);
    if (requests < runs) return runs;
  }
}

/** Ignores ERR_OUT_OF_MEMORY, which the body was given. */
function ignoreOutOfMemory(error: unknown): void {
  if ((error as { code?: unknown } | undefined)?.code !== "ERR_OUT_OF_MEMORY") throw error;
}

function checkBody(call: string, body: unknown): void {
  if (typeof body !== "function") throw wrongKind(`${call}: body`, "a function", body);
}
