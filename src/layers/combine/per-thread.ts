/** A pool for each thread over one shared memory; blocks that others put come home by mail. */
import { defineLayer, type Pool } from "../pool/contract.ts";
import { checkWhole, putForeign, wordCheck } from "../pool/errors.ts";

// raw     ptr-12   ptr-8   ptr-4     ptr = raw + 16
//  | next | unused | size | thread | user's bytes …
const HEADER = 16;

export interface PerThreadOptions {
  /** This thread's number, from 0; no two threads may have the same. */
  self: number;
  /** How many threads there are. */
  threads: number;
  /** One element for each thread, shared and zero at first: the mailboxes. */
  mail: Int32Array;
}

export interface PerThreadTraits {
  readonly alignment: 16;
  readonly sized: false;
  readonly drops: false;
  readonly owns: false;
  readonly zeroed: false;
}

/**
 * Serves this thread from its own pool, `make(source)`, without any lock. A block that another
 * thread's pool gave is put into that thread's mailbox by one atomic exchange, and its owner takes
 * the mail with its next get that finds some. The source must serve all threads at once, as
 * `sharedBump` does, or any shared pool under `lock`.
 *
 * Price: 16 bytes a block, an atomic load a get. Mail of a thread that makes no get any more waits.
 * destroy drops this thread's blocks only; the others must have stopped using them.
 *
 * @throws TypeError or RangeError for options that make no sense; LayerError from put for a block
 * of no thread.
 * @example
 * const pool = pipe(sharedBump(buffer, word), perThread(kingsley, { self: 1, threads: 4, mail }));
 */
export function perThread(
  make: (source: Pool) => Pool,
  { self, threads, mail }: PerThreadOptions,
): (source: Pool) => Pool<PerThreadTraits> {
  if (typeof make !== "function") throw new TypeError("perThread: make must be a function");
  checkWhole("perThread: threads", threads, 1, 65536);
  checkWhole("perThread: self", self, 0, threads - 1);
  wordCheck("perThread", mail, threads - 1, true);
  return (source) => {
    const own = make(source);
    const { memory } = own;
    const sizeOf = (ptr: number) => memory.u32()[(ptr - 8) >>> 2] as number;

    function release(ptr: number): void {
      own.put(ptr - HEADER, sizeOf(ptr) + HEADER);
    }

    function mailTake(): void {
      let ptr = Atomics.exchange(mail, self, 0) >>> 0;
      while (ptr !== 0) {
        const next = memory.u32()[(ptr - HEADER) >>> 2] as number;
        release(ptr);
        ptr = next;
      }
    }

    /** A stack without a lock. The owner takes all of it at once, so none comes back early. */
    function mailSend(to: number, ptr: number): void {
      const words = memory.u32();
      for (;;) {
        const first = Atomics.load(mail, to);
        words[(ptr - HEADER) >>> 2] = first;
        if (Atomics.compareExchange(mail, to, first, ptr | 0) === first) return;
      }
    }

    return defineLayer(
      `perThread(${self} of ${threads})`,
      own,
      { alignment: 16, sized: false, drops: false, owns: false, zeroed: false },
      {
        get(size) {
          if (Atomics.load(mail, self) !== 0) mailTake();
          const raw = own.get(size + HEADER);
          if (raw === 0) return 0;
          const words = memory.u32();
          words[(raw + 8) >>> 2] = size;
          words[(raw + 12) >>> 2] = self;
          return raw + HEADER;
        },
        put(ptr) {
          const thread = memory.u32()[(ptr - 4) >>> 2] as number;
          if (thread === self) release(ptr);
          else if (thread < threads) mailSend(thread, ptr);
          else throw putForeign(ptr);
        },
        destroy() {
          mailTake();
          own.destroy();
        },
        sizeOf,
      },
    );
  };
}
