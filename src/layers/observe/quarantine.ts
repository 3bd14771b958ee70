/** Keeps blocks that were put for a while, to see who writes to them. */
import { defineLayer, type Layer, type Pool } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { blockUsed, checkWhole, type Held } from "../pool/errors.ts";

export interface QuarantineOptions {
  /** Bytes of blocks that wait at most; the oldest go first. Default: 1 MiB. */
  bytes?: number | undefined;
  /** The byte that they are filled with. Default: 0xdf. */
  poison?: number | undefined;
  /** Called with the block and the place of the first byte written, instead of the error. */
  onUse?: ((block: Held, offset: number) => void) | undefined;
}

/**
 * Fills blocks that are put with poison, and gives them to the source only after others that came
 * later. A block whose poison was written over has been used after it was put: the put that pushes
 * it out throws, or destroy. Everything is as it should be then, the put included. Reads are not
 * found, but what they read is poison.
 *
 * @throws LayerError ERR_USE_AFTER_FREE from put and destroy, without onUse; RangeError for options.
 * @example
 * const pool = pipe(std(heap), quarantine({ bytes: 65536 }));
 */
export function quarantine(options: QuarantineOptions = {}): Layer<{ readonly sized: true }> {
  const { bytes = 2 ** 20, poison = 0xdf } = options;
  checkWhole("quarantine: bytes", bytes, 0);
  checkWhole("quarantine: poison", poison, 0, 255);
  return (source) => {
    const ward = new Ward(source, poison, options.onUse);
    return defineLayer(
      `quarantine(${bytes})`,
      source,
      { sized: true },
      {
        get: (size) => ward.get(size),
        put(ptr, size) {
          ward.put(ptr, size);
          ward.shrink(bytes);
        },
        destroy() {
          try {
            ward.shrink(0);
          } finally {
            ward.end();
            source.destroy();
          }
        },
        stats: () => ward.counter.stats(),
      },
    );
  };
}

class Ward {
  readonly counter = new Counter();
  /** The oldest first; entries before #first are gone. */
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

  /** Lets the oldest go until at most `bytes` wait, all of them also when one was used. */
  shrink(bytes: number): void {
    let used: [Held, number] | undefined;
    while (this.#first < this.#blocks.length && (this.#bytes > bytes || bytes === 0)) {
      const block = this.#next();
      const offset = this.#usedAt(block);
      if (offset >= 0) used ??= [block, offset];
      this.#source.put(block.ptr, block.size);
      this.counter.give(block.size);
    }
    if (used) this.#tell(...used);
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

  /** Where a byte is not poison, or -1. */
  #usedAt({ ptr, size }: Held): number {
    const bytes = this.#source.memory.bytes();
    for (let i = 0; i < size; i++) if (bytes[ptr + i] !== this.#poison) return i;
    return -1;
  }

  #tell(block: Held, offset: number): void {
    if (!this.#onUse) throw blockUsed(block, offset);
    this.#onUse(block, offset);
  }
}
