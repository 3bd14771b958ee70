/** What a manager knows of its blocks: where pointers lie, and what to do before they are freed. */
import { checkObject } from "../common/kinds.ts";
import { checkPointers } from "./errors.ts";

/** A kind of blocks: see `kind`. */
export interface Kind {
  /** The name in reports. */
  readonly name: string;
  /**
   * Byte offsets, multiples of 4, of the words that hold the address of a managed block or 0.
   * "any": every word may hold one.
   */
  readonly pointers: readonly number[] | "any";
  /**
   * Called before a block is freed that is not referenced any more. The block can still be read,
   * but must not be kept.
   */
  readonly finalize?: ((ptr: number) => void) | undefined;
}

/**
 * A kind of blocks. Without `pointers` its blocks hold none.
 *
 * @throws RangeError for an offset that is not a multiple of 4.
 * @example
 * const node = kind("node", { pointers: [0, 4] });
 */
export function kind(name: string, options: Partial<Omit<Kind, "name">> = {}): Kind {
  checkObject("kind: options", options);
  const { pointers = [], finalize } = options;
  if (pointers !== "any") checkPointers(pointers);
  return { name, pointers, finalize };
}

/** Visits the words of a block of `size` bytes that may hold pointers. */
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
