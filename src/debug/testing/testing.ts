/** For tests, under any runner: a body of code that must not make a mistake with memory. */

import { type DebugAllocator, debug } from "../allocator/allocator.ts";
import { MemoryMistake, type Report } from "../report/report.ts";
import type { BackingAllocator } from "../store/backing.ts";
import type { DebugOptions } from "../store/options.ts";
import { failing } from "./failing.ts";

type Body<R> = (heap: DebugAllocator) => R;

/**
 * Runs a body with a debug allocator over `allocator`, and throws when it leaks or makes another
 * mistake: one MemoryMistake with all reports. An error of the body's own goes first. Answers what
 * the body answers; waits if that is a promise.
 *
 * @throws MemoryMistake
 * @example
 * test("parse frees what it allocates", () => expectNoLeaks(createHeap(), (heap) => parse(heap)));
 */
export function expectNoLeaks<R>(
  allocator: BackingAllocator,
  body: Body<R>,
  options: DebugOptions = {},
): R {
  const reports: Report[] = [];
  const heap = debug(allocator, {
    reportAtExit: false,
    ...options,
    onReport: (report) => reports.push(report),
  });
  return settle(
    () => body(heap),
    () => {
      heap.deinit();
      const [first, ...others] = reports;
      if (first) throw new MemoryMistake(first, others);
    },
    () => void heap.deinit(),
  );
}

/** Runs `done` after a body, also one that answers a promise; `failed` when it has thrown. */
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
 * Runs a body again and again, each time with memory out at another request: at the first, at the
 * second, until a run needs no more. No run may leak or make another mistake, also one that throws
 * ERR_OUT_OF_MEMORY. Answers how many runs there were.
 *
 * @throws MemoryMistake, or what else the body throws.
 * @example
 * await expectNoLeaksWhenFull(createHeap(), (heap) => parse(heap));
 */
export async function expectNoLeaksWhenFull(
  allocator: BackingAllocator,
  body: Body<unknown>,
  options: DebugOptions = {},
): Promise<number> {
  for (let runs = 1; ; runs++) {
    let requests = 0;
    const run = async (heap: DebugAllocator) => {
      await body(failing(heap, () => ++requests >= runs));
    };
    await expectNoLeaks(allocator, (heap) => run(heap).catch(memoryOut), options);
    if (requests < runs) return runs;
  }
}

/** Lets an error pass that says that memory is out, as the body was to find. */
function memoryOut(error: unknown): void {
  if ((error as { code?: unknown } | undefined)?.code !== "ERR_OUT_OF_MEMORY") throw error;
}
