/** Options as a table that checks them and makes the one of the documentation. */
import { wrongKind } from "./errors.ts";

export interface OptionRow {
  name: string;
  type: string;
  default: string;
  text: string;
  /** What is wrong with a value, or undefined. */
  refuse(value: unknown): Error | undefined;
}

/** Throws for the first option that is unknown or has a wrong value; undefined counts as absent. */
export function optionsCheck(table: OptionRow[], options: object): void {
  if (typeof options !== "object" || options === null) {
    throw wrongKind("options", "an object", options);
  }
  for (const [name, value] of Object.entries(options)) {
    const row = table.find((each) => each.name === name);
    if (!row) throw new TypeError(`unknown option ${name}; known: ${names(table)}`);
    const error = value === undefined ? undefined : row.refuse(value);
    if (error) throw error;
  }
}

function names(table: OptionRow[]): string {
  return table.map((row) => row.name).join(", ");
}

/** A table of options as a table of Markdown. */
export function optionsMarkdown(table: OptionRow[]): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const rows = table.map(
    (row) => `| ${row.name} | \`${cell(row.type)}\` | ${cell(row.default)} | ${cell(row.text)} |`,
  );
  return ["| option | type | default | meaning |", "|---|---|---|---|", ...rows, ""].join("\n");
}
