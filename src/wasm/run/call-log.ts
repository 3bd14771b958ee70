/** Counts a program's calls of its allocator, and writes them as a trace. */
import { LOGGED, type LogCall } from "./rebind.ts";

/** Counts of calls, blocks and bytes. */
interface CallStats {
  allocations: number;
  frees: number;
  /** Bytes and blocks now. */
  liveBytes: number;
  liveBlocks: number;
  /** The largest value of liveBytes so far. */
  peakBytes: number;
}

/**
 * Makes a line of a trace (see `terrane replay --help`) of each call. Calls with blocks that
 * existed before, and requests that failed, make no line: they cannot be replayed.
 */
export class CallLog {
  readonly stats: CallStats = {
    allocations: 0,
    frees: 0,
    liveBytes: 0,
    liveBlocks: 0,
    peakBytes: 0,
  };
  readonly #line: (text: string) => void;
  /** Reads the pointer that posix_memalign has stored. */
  readonly #word: (address: number) => number;
  readonly #blocks = new Map<number, { id: number; size: number }>();
  #ids = 0;

  constructor(line: (text: string) => void, word: (address: number) => number) {
    this.#line = line;
    this.#word = word;
  }

  /** For the import `log` of a module from `rebind`. */
  readonly log: LogCall = (action, ptr, result, count, size, align) => {
    const [c, s] = [count >>> 0, size >>> 0];
    switch (LOGGED[action]) {
      case "free":
        return this.#free(ptr >>> 0);
      case "realloc":
        return this.#realloc(ptr >>> 0, result >>> 0, c * s);
      case "posix":
        if (result === 0) this.#alloc(this.#word(ptr >>> 0), s, `a # ${align >>> 0} ${s}`);
        return;
      case "zero":
        return this.#alloc(result >>> 0, c * s, `c # ${c} ${s}`);
      default:
        return this.#alloc(result >>> 0, s, align > 16 ? `a # ${align} ${s}` : `m # ${s}`);
    }
  };

  /** @param line of the trace, with # in the place of the block's number. */
  #alloc(ptr: number, size: number, line: string): void {
    if (ptr === 0) return;
    const id = ++this.#ids;
    this.#blocks.set(ptr, { id, size });
    this.#line(line.replace("#", String(id)));
    const { stats } = this;
    stats.allocations++;
    stats.liveBlocks++;
    stats.liveBytes += size;
    stats.peakBytes = Math.max(stats.peakBytes, stats.liveBytes);
  }

  #drop(ptr: number): number {
    const block = this.#blocks.get(ptr);
    if (!block) return 0;
    this.#blocks.delete(ptr);
    this.stats.liveBlocks--;
    this.stats.liveBytes -= block.size;
    return block.id;
  }

  #free(ptr: number): void {
    const id = this.#drop(ptr);
    if (id === 0) return;
    this.#line(`f ${id}`);
    this.stats.frees++;
  }

  #realloc(ptr: number, result: number, size: number): void {
    if (result === 0) return;
    const old = this.#drop(ptr);
    this.#alloc(result, size, old === 0 ? `m # ${size}` : `r ${old} # ${size}`);
  }
}
