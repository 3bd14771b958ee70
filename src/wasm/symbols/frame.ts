/** A call on a stack. */
export interface Frame {
  /** Name of the function; `function 12` if it has none. */
  readonly function: string;
  /** The source file, if it is known. */
  readonly file?: string | undefined;
  /** The line in the file, from 1. */
  readonly line?: number | undefined;
  /** The column in the line, from 1. */
  readonly column?: number | undefined;
}
