/** Finds blocks that nothing points to, by a conservative scan like that of LeakSanitizer. */
import type { Block } from "../shadow/block-table.ts";

export interface LeakScan {
  /** Blocks that nothing points to. */
  readonly lost: readonly Block[];
  /** Blocks that only lost blocks point to. */
  readonly indirect: readonly Block[];
  /** Blocks that the program could still free. */
  readonly reachable: readonly Block[];
}

/** A range that is searched for pointers: the words from byte `from` to byte `to`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Any word that is an address inside a block counts as a pointer to it. */
export function leaksFind(
  words: Uint32Array,
  blocks: readonly Block[],
  roots: readonly Range[],
  registers: readonly number[],
): LeakScan {
  const search = new Search(words, blocks);
  for (const value of registers) search.word(value);
  for (const range of roots) search.range(range);
  search.follow();
  const reached = search.marks.slice();
  const lost = blocks.filter((_, i) => reached[i] === 0);
  const direct = new Set(directOf(words, lost));
  return {
    lost: lost.filter((block) => direct.has(block)),
    indirect: lost.filter((block) => !direct.has(block)),
    reachable: blocks.filter((_, i) => reached[i] !== 0),
  };
}

/** Lost blocks that no other lost block leads to; of blocks that form a ring, the first. */
function directOf(words: Uint32Array, lost: readonly Block[]): Block[] {
  const targets = lost.map((block, i) => {
    const search = new Search(words, lost);
    search.range(contents(block));
    return search.found.filter((each) => each !== i);
  });
  const pointed = new Set(targets.flat());
  const seen = new Set<number>();
  const direct: number[] = [];
  const walk = (start: number) => {
    const waiting = [start];
    for (let i = waiting.pop(); i !== undefined; i = waiting.pop()) {
      if (seen.has(i)) continue;
      seen.add(i);
      waiting.push(...(targets[i] as number[]));
    }
  };
  const take = (i: number) => {
    if (seen.has(i)) return;
    direct.push(i);
    walk(i);
  };
  for (let i = 0; i < lost.length; i++) if (!pointed.has(i)) take(i);
  for (let i = 0; i < lost.length; i++) take(i);
  return direct.sort((a, b) => a - b).map((i) => lost[i] as Block);
}

function contents(block: Block): Range {
  return { from: block.ptr, to: block.ptr + block.size };
}

class Search {
  readonly marks: Uint8Array;
  /** Indices of the blocks that are marked, in the order in which they were found. */
  readonly found: number[] = [];
  readonly #words: Uint32Array;
  readonly #blocks: readonly Block[];
  readonly #least: number;
  readonly #most: number;

  constructor(words: Uint32Array, blocks: readonly Block[]) {
    this.#words = words;
    this.#blocks = blocks;
    this.marks = new Uint8Array(blocks.length);
    this.#least = blocks[0]?.ptr ?? Infinity;
    const last = blocks.at(-1);
    this.#most = last ? last.ptr + last.size : 0;
  }

  range({ from, to }: Range): void {
    const end = to >>> 2;
    for (let i = (from + 3) >>> 2; i < end; i++) {
      const value = this.#words[i] as number;
      if (value >= this.#least && value <= this.#most) this.word(value);
    }
  }

  word(value: number): void {
    const index = this.#indexOf(value >>> 0);
    if (index < 0 || this.marks[index] !== 0) return;
    this.marks[index] = 1;
    this.found.push(index);
  }

  follow(): void {
    for (let i = 0; i < this.found.length; i++) {
      this.range(contents(this.#blocks[this.found[i] as number] as Block));
    }
  }

  #indexOf(address: number): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#blocks[middle] as Block).ptr <= address) low = middle + 1;
      else high = middle;
    }
    const block = this.#blocks[low - 1];
    return block && address < block.ptr + Math.max(1, block.size) ? low - 1 : -1;
  }
}
