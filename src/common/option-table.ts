/** Options as a table that checks them, and as a table that the documentation has of them. */
import { wrongKind } from "./errors.ts";
import { checkObject, tagOf } from "./kinds.ts";

/** What is checked of an option. */
export interface OptionCheck {
  name: string;
  /** What is wrong with a value, or undefined. */
  refuse(value: unknown): Error | undefined;
}

/** What the documentation says of an option: apart from its check, which is all a program loads. */
export interface OptionText {
  name: string;
  type: string;
  default: string;
  text: string;
}

export interface OptionRow extends OptionCheck, OptionText {}

/** Throws for the first option that is unknown or has a wrong value; undefined counts as absent. */
export function optionsCheck(table: readonly OptionCheck[], options: object): void {
  checkObject("options", options);
  for (const name of Object.keys(options)) {
    if (table.some((row) => row.name === name)) continue;
    throw new TypeError(`unknown option ${name}; known: ${names(table)}`);
  }
  // By name, since objects also inherit members, which are read later as their own are.
  for (const row of table) {
    const value: unknown = Reflect.get(options, row.name);
    const error = value === undefined ? undefined : row.refuse(value);
    if (error) throw error;
  }
}

function names(table: readonly OptionCheck[]): string {
  return table.map((row) => row.name).join(", ");
}

/** An option whose values satisfy `is`; `kind` says in words what they are. */
export function optionOf(name: string, kind: string, is: (value: unknown) => boolean): OptionCheck {
  return { name, refuse: (value) => (is(value) ? undefined : wrongKind(name, kind, value)) };
}

/** An option that is true or false. */
export function flagOption(name: string): OptionCheck {
  return optionOf(name, "true or false", (value) => typeof value === "boolean");
}

/** An option that is a function. */
export function functionOption(name: string): OptionCheck {
  return optionOf(name, "a function", (value) => typeof value === "function");
}

/** An option that is an object of a built-in class. */
export function builtInOption(name: string, kind: string, tag: string): OptionCheck {
  return optionOf(name, kind, (value) => tagOf(value) === tag);
}

/** A table of options as a table of Markdown. */
export function optionsMarkdown(table: readonly OptionText[]): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const rows = table.map(
    (row) => `| ${row.name} | \`${cell(row.type)}\` | ${cell(row.default)} | ${cell(row.text)} |`,
  );
  return ["| option | type | default | meaning |", "|---|---|---|---|", ...rows, ""].join("\n");
}
