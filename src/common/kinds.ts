/** Checks of what is not a number: objects by their members, or by their classes. */
import { wrongKind } from "./errors.ts";

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
