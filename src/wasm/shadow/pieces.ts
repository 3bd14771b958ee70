/** Free pieces of the checked heap that belong to no chunk, in rows by their size. */

/** Free memory. */
export interface Piece {
  readonly start: number;
  readonly bytes: number;
}

/** How many pieces of a row that may be too small are looked at. */
const TRIES = 32;

export class Pieces {
  #rows: Piece[][] = [];

  /** Cuts so many bytes off a piece; returns their address, or 0 if there is none. */
  take(bytes: number): number {
    const row = rowOf(bytes);
    const some = this.#rows[row] ?? [];
    for (let i = some.length - 1; i >= Math.max(0, some.length - TRIES); i--) {
      if ((some[i] as Piece).bytes >= bytes) return this.#cut(some.splice(i, 1)[0] as Piece, bytes);
    }
    // All pieces of the rows above are large enough.
    for (let above = row + 1; above < this.#rows.length; above++) {
      const piece = this.#rows[above]?.pop();
      if (piece) return this.#cut(piece, bytes);
    }
    return 0;
  }

  #cut({ start, bytes: all }: Piece, bytes: number): number {
    if (all > bytes) this.#add({ start: start + bytes, bytes: all - bytes });
    return start;
  }

  #add(piece: Piece): void {
    const row = rowOf(piece.bytes);
    this.#rows[row] ??= [];
    this.#rows[row].push(piece);
  }

  /**
   * Adds pieces, and joins those that lie side by side.
   *
   * @param top the end of the memory that was ever used.
   * @returns its new end: the last piece is not kept if it ends there.
   */
  join(more: readonly Piece[], top: number): number {
    const all = [...this.#rows.flat(), ...more].sort((a, b) => a.start - b.start);
    this.#rows = [];
    let last: Piece | undefined;
    for (const piece of all) {
      if (last && last.start + last.bytes === piece.start) {
        last = { start: last.start, bytes: last.bytes + piece.bytes };
      } else {
        if (last) this.#add(last);
        last = piece;
      }
    }
    if (last && last.start + last.bytes === top) return last.start;
    if (last) this.#add(last);
    return top;
  }
}

function rowOf(bytes: number): number {
  return 31 - Math.clz32(bytes);
}
