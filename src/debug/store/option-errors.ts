/**
 * Checks of options that `debug` and `guarded` have in common. Each returns an error or nothing.
 */
import { wrongKind } from "../../common/errors.ts";

export function wholeError(
  name: string,
  value: unknown,
  from: number,
  to: number,
): Error | undefined {
  if (typeof value !== "number") return wrongKind(name, "a number", value);
  if (Number.isInteger(value) && value >= from && value <= to) return undefined;
  return new RangeError(`${name} must be a whole number from ${from} to ${to}, not ${value}`);
}

/** @param or Other kinds of values that the option can have. */
export function flagError(name: string, value: unknown, or = ""): Error | undefined {
  return typeof value === "boolean" ? undefined : wrongKind(name, `true or false${or}`, value);
}

export function sinkError(value: unknown): Error | undefined {
  if (typeof value === "function" || value === "print" || value === "throw") return undefined;
  if (typeof value !== "string") {
    return wrongKind("onReport", '"print", "throw" or a function', value);
  }
  return new RangeError(`onReport must be "print", "throw" or a function, not "${value}"`);
}

/** A process has an exit code of 8 bits. */
export function exitCodeError(name: string, value: unknown): Error | undefined {
  return wholeError(name, value, 0, 255);
}
