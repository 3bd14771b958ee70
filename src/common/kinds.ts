/** Checks of what is not a number: objects by their members, options by their kinds. */
import { wrongKind } from "./errors.ts";
import type { OptionCheck } from "./option-table.ts";

/** The name of a built-in class, also for an object of another realm. */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** Whether a value is an object or a function that has all these members. */
export function hasMembers(value: unknown, ...members: readonly string[]): boolean {
  const isObject = (typeof value === "object" && value !== null) || typeof value === "function";
  return isObject && members.every((member) => Reflect.get(value, member) !== undefined);
}

/** @throws TypeError unless the value is an object with these members. */
export function checkMembers(
  name: string,
  kind: string,
  value: unknown,
  ...members: readonly string[]
): void {
  if (!hasMembers(value, ...members)) throw wrongKind(name, kind, value);
}

/** @throws TypeError unless the value is an object, as options must be. */
export function checkObject(name: string, value: unknown): void {
  if (typeof value !== "object" || value === null) throw wrongKind(name, "an object", value);
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
