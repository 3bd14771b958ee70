/** Frames of call stacks as text, the same in all reports. */

/**
 * A frame as text: `call (file:line:column)`, without the parts that are not known.
 *
 * @param call Empty for code without a name.
 * @param line From 1; 0 where there are no lines, as in wasm without debug information.
 * @param column From 1; 0 if it is not known.
 */
export function frameText(call: string, file?: string, line = 0, column = 0): string {
  if (file === undefined) return call;
  const at = line === 0 ? "" : column === 0 ? `:${line}` : `:${line}:${column}`;
  return call === "" ? file + at : `${call} (${file}${at})`;
}
