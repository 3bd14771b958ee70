/** A pool for each thread over one shared memory; blocks that other threads put are sent back. */
import { checkObject } from "../../common/kinds.ts";
import { defineLayer, type Pool, type TraitsWith } from "../pool/contract.ts";
import { checkWhole, checkWord, notABlock } from "../pool/errors.ts";

// raw     ptr-12   ptr-8   ptr-4     ptr = raw + 16
//  | next | unused | size | thread | user's bytes …
const HEADER = 16;

/** Options of `perThread`. */
export interface PerThreadOptions {
  /** Number of this thread, from 0 to `threads - 1`; no two threads may have the same. */
  self: number;
  /** Number of threads, from 1 to 65536. */
  threads: number;
  /**
   * The mailboxes of the threads: one element for each, over a SharedArrayBuffer, 0 at first, the
   * same in all threads.
   */
  mail: Int32Array;
}

/** What the pools of `perThread` guarantee. */
export type PerThreadTraits = TraitsWith<16, never>;

/**
 * Serves this thread from a pool of its own, `make(source)`, without a lock. A block that the pool
 * of another thread gave is put into the mailbox of that thread by one atomic exchange; its owner
 * takes all blocks from its mailbox at its next `get`. The source must serve all threads at once,
 * as `sharedBump` does, or any shared pool below `lock`.
 *
 * Price: 16 bytes for each block, and an atomic load for each `get`. Blocks in the mailbox of a
 * thread that calls `get` no more stay there. `destroy` drops the blocks of this thread only; other
 * threads must have stopped using them.
 *
 * @throws TypeError or RangeError for options out of range; `put` throws LayerError
 * ERR_NOT_A_BLOCK for a block without a thread.
 * @example
 * const pool = pipe(sharedBump(buffer, word), perThread(kingsley, { self: 1, threads: 4, mail }));
 */
export function perThread(
  make: (source: Pool) => Pool,
  options: PerThreadOptions,
): (source: Pool) => Pool<PerThreadTraits> {
  if (typeof make !== "function") throw new TypeError("perThread: make must be a function");
  checkObject("perThread: options", options);
  const { self, threads, mail } = options;
  checkWhole("perThread: threads", threads, 1, 65536);
  checkWhole("perThread: self", self, 0, threads - 1);
  checkWord("perThread", mail, threads - 1, true);
  return (source) => {
    const own = make(source);
    const { memory } = own;
    const sizeOf = (ptr: number) => memory.u32()[(ptr - 8) >>> 2] as number;

    function release(ptr: number): void {
      own.put(ptr - HEADER, sizeOf(ptr) + HEADER);
    }

    function takeMail(): void {
      let ptr = Atomics.exchange(mail, self, 0) >>> 0;
      while (ptr !== 0) {
        const next = memory.u32()[(ptr - HEADER) >>> 2] as number;
        release(ptr);
        ptr = next;
      }
    }

    /**
     * Pushes on a stack without a lock. The owner takes all of it at once, so no block can leave
     * and come back between the two reads of its head (the ABA problem).
     */
    function sendMail(to: number, ptr: number): void {
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
          if (Atomics.load(mail, self) !== 0) takeMail();
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
          else if (thread < threads) sendMail(thread, ptr);
          else throw notABlock(ptr);
        },
        destroy() {
          takeMail();
          own.destroy();
        },
        sizeOf,
      },
    );
  };
}
