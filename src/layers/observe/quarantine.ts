/** Delays the reuse of blocks that were put, and finds writes to them. */
import { checkObject } from "../../common/kinds.ts";
import { defineLayer, type Layer, type Pool } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole, type Held, writtenAfterFree } from "../pool/errors.ts";

/** Options of `quarantine`. */
export interface QuarantineOptions {
  /** The most bytes of blocks that are kept; the oldest leave first. Default: 1 MiB. */
  bytes?: number | undefined;
  /** The byte, 0 to 255, that kept blocks are filled with. Default: 0xdf. */
  poison?: number | undefined;
  /**
   * Called with a block that was written after it was put, and the offset in bytes of the first
   * such byte; without it the call that finds the write throws.
   */
  onUse?: ((block: Held, offset: number) => void) | undefined;
}

/**
 * Fills blocks that are put with a poison byte and keeps them for a while before it gives them to
 * the source. A block whose poison was overwritten was written after it was put: the `put` that
 * makes it leave the quarantine throws, or `destroy`. That `put` has been done all the same. Reads
 * are not found, but they see poison. Price: the bytes that are kept, and for each block a fill and
 * a comparison.
 *
 * @throws LayerError ERR_WRITE_AFTER_FREE from `put` and `destroy`, without onUse; TypeError or
 * RangeError for options out of range.
 * @example
 * const pool = pipe(std(heap), quarantine({ bytes: 65536 }));
 */
export function quarantine(options: QuarantineOptions = {}): Layer<{ readonly sized: true }> {
  checkObject("quarantine: options", options);
  const { bytes = 2 ** 20, poison = 0xdf } = options;
  checkWhole("quarantine: bytes", bytes, 0);
  checkWhole("quarantine: poison", poison, 0, 255);
  return (source) => {
    const waiting = new WaitingBlocks(source, poison, options.onUse);
    return defineLayer(
      `quarantine(${bytes})`,
      source,
      { sized: true },
      {
        get: (size) => waiting.get(size),
        put(ptr, size) {
          waiting.put(ptr, size);
          waiting.shrink(bytes);
        },
        destroy() {
          try {
            waiting.shrink(0);
          } finally {
            waiting.end();
            source.destroy();
          }
        },
        stats: () => waiting.counter.stats(),
      },
    );
  };
}

class WaitingBlocks {
  readonly counter = new Counter();
  /** Oldest first; those before #first have left. */
  #blocks: Held[] = [];
  #first = 0;
  #bytes = 0;
  readonly #source: Pool;
  readonly #poison: number;
  readonly #onUse: QuarantineOptions["onUse"];

  constructor(source: Pool, poison: number, onUse: QuarantineOptions["onUse"]) {
    this.#source = source;
    this.#poison = poison;
    this.#onUse = onUse;
  }

  get(size: number): number {
    const ptr = this.#source.get(size);
    if (ptr === 0) return 0;
    this.counter.got(size);
    this.counter.take(size);
    return ptr;
  }

  put(ptr: number, size: number): void {
    this.#source.memory.bytes().fill(this.#poison, ptr, ptr + size);
    this.#blocks.push({ ptr, size });
    this.#bytes += size;
    this.counter.put(size);
  }

  /** Gives the oldest to the source until at most `bytes` are kept, and then reports a write. */
  shrink(bytes: number): void {
    let written: [Held, number] | undefined;
    while (this.#first < this.#blocks.length && (this.#bytes > bytes || bytes === 0)) {
      const block = this.#next();
      const offset = this.#writtenAt(block);
      if (offset >= 0) written ??= [block, offset];
      this.#source.put(block.ptr, block.size);
      this.counter.give(block.size);
    }
    if (written) this.#report(...written);
  }

  end(): void {
    if (this.#source.traits.drops) this.counter.drop();
  }

  #next(): Held {
    const block = this.#blocks[this.#first] as Held;
    this.#first += 1;
    this.#bytes -= block.size;
    if (this.#first > 64 && this.#first * 2 > this.#blocks.length) {
      this.#blocks = this.#blocks.slice(this.#first);
      this.#first = 0;
    }
    return block;
  }

  /** Offset of the first byte that is not poison, or -1. */
  #writtenAt({ ptr, size }: Held): number {
    const bytes = this.#source.memory.bytes();
    for (let i = 0; i < size; i++) if (bytes[ptr + i] !== this.#poison) return i;
    return -1;
  }

  #report(block: Held, offset: number): void {
    if (!this.#onUse) throw writtenAfterFree(block, offset);
    this.#onUse(block, offset);
  }
}
