/** A call in a report. */
export interface Frame {
  /** Name of the function; `function 12` when it has none. */
  readonly function: string;
  readonly file?: string | undefined;
  /** From 1. */
  readonly line?: number | undefined;
  readonly column?: number | undefined;
}
