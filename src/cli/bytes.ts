/** Amounts of memory on the command line. */
import { InvalidArgumentError } from "commander";
import { PAGE_BYTES } from "../common/constants.ts";

/** The most pages that a memory can have. */
export const PAGES_MOST = 65536;
const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** Bytes from a number and a unit: 65536, 64K, 16M, 4G. */
export function bytesParse(text: string): number {
  const [, number, unit] = /^(\d+)([KMG]?)$/.exec(text.toUpperCase()) ?? [];
  const bytes = Number(number) * (UNITS[unit ?? ""] as number);
  if (bytes >= PAGE_BYTES && bytes <= PAGES_MOST * PAGE_BYTES) return bytes;
  throw new InvalidArgumentError("It must be from 64K to 4G.");
}
