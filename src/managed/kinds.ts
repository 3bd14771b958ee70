/** What a manager knows of its blocks: where pointers lie, and what to do at the end. */
import { checkPointers } from "./errors.ts";

export interface Kind {
  /** For reports. */
  readonly name: string;
  /**
   * Byte offsets of words that hold the address of a managed block, or 0. "any" means that every
   * word may be one.
   */
  readonly pointers: readonly number[] | "any";
  /** Called when a block has no users left, before it is freed; it can be read then, not kept. */
  readonly finalize?: ((ptr: number) => void) | undefined;
}

/**
 * A kind of blocks. Without `pointers` they hold none.
 *
 * @throws RangeError for an offset that is no multiple of 4.
 * @example
 * const node = kind("node", { pointers: [0, 4] });
 */
export function kind(name: string, options: Partial<Omit<Kind, "name">> = {}): Kind {
  const { pointers = [], finalize } = options;
  if (pointers !== "any") checkPointers(pointers);
  return { name, pointers, finalize };
}

/** The words of a block of `size` bytes that may hold pointers, one by one. */
export function pointersOf(
  words: Uint32Array,
  ptr: number,
  size: number,
  { pointers }: Kind,
  visit: (target: number) => void,
): void {
  if (pointers === "any") {
    for (let at = ptr; at + 4 <= ptr + size; at += 4) visit(words[at >>> 2] as number);
  } else {
    for (const offset of pointers) {
      if (offset + 4 <= size) visit(words[(ptr + offset) >>> 2] as number);
    }
  }
}
