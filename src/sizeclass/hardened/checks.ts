/** Checks of arguments that only the hardened malloc has. */
import { wrongKind } from "../../common/errors.ts";

/** @throws TypeError unless value is of a kind: "a boolean" or "a function". */
export function checkKind(name: string, kind: "a boolean" | "a function", value: unknown): void {
  if (`a ${typeof value}` !== kind) throw wrongKind(name, kind, value);
}

/** @throws TypeError or RangeError unless value is a whole number from 0 to 2^32. */
export function checkBytes(bytes: unknown): void {
  if (typeof bytes !== "number") throw wrongKind("bytes", "a number", bytes);
  if (Number.isInteger(bytes) && bytes >= 0 && bytes <= 2 ** 32) return;
  throw new RangeError(`bytes must be a whole number from 0 to ${2 ** 32}, not ${bytes}`);
}

/** @throws RangeError for what is not a FillContents. */
export function checkFill(fill: unknown): void {
  if (fill === "none" || fill === "zero" || fill === "pattern") return;
  throw new RangeError(`fillContents must be "none", "zero" or "pattern", not ${String(fill)}`);
}
