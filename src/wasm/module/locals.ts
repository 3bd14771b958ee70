/** The extra locals of a function that is being written. */

/**
 * Gives locals out by name, so that two features never use the same one without knowing it. A name
 * stands for one local, or for a row of locals, each with a position.
 */
export class ExtraLocals {
  readonly #types: number[] = [];
  readonly #rows = new Map<string, number[]>();
  #first = 0;

  /** Starts a new function, which has `first` parameters and locals of its own. */
  reset(first: number): void {
    this.#first = first;
    this.#types.length = 0;
    this.#rows.clear();
  }

  /** Types of the extra locals, in the order of their indices. */
  get types(): readonly number[] {
    return this.#types;
  }

  /**
   * The index of the local with this name and position, the same for the same arguments.
   *
   * @throws TypeError when the local exists with another type.
   */
  index(name: string, type: number, position = 0): number {
    let row = this.#rows.get(name);
    if (row === undefined) {
      row = [];
      this.#rows.set(name, row);
    }
    const known = row[position];
    if (known === undefined) return this.#add(row, type, position);
    if (this.#types[known - this.#first] === type) return known;
    throw new TypeError(`the local "${name}" exists with another type; choose another name`);
  }

  #add(row: number[], type: number, position: number): number {
    const index = this.#first + this.#types.length;
    this.#types.push(type);
    row[position] = index;
    return index;
  }
}

/** A name for each type: locals for operands that may have any type. */
export function nameByType(name: string): (type: number) => string {
  const names: string[] = [];
  return (type) => {
    names[type] ??= `${name} of type 0x${type.toString(16)}`;
    return names[type];
  };
}
