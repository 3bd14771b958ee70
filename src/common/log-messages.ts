/**
 * What the errors of a heap say: one place for their texts, so that what is printed, what tests
 * expect and what another module reports are the same sentence. Codes are those of errno.
 */
import { EFAULT, ENOMEM, EOVERFLOW } from "./errno.ts";
import { hex } from "./errors.ts";

/** Text of each code that the core raises, of the size that it raises with it. */
const texts = new Map<number, (size: number) => string>([
  [ENOMEM, (size) => `unable to allocate memory (${size} bytes)`],
  [EFAULT, (size) => `corrupted thread-free list in a page with blocks of ${size} bytes`],
  [EOVERFLOW, (size) => `allocation request is too large (${size} bytes)`],
]);

/** The sentence for an error that the core raised. */
export function errorText(code: number, size: number): string {
  const text = texts.get(code);
  return text ? text(size) : `error ${code} (${size})`;
}

/** C++'s operator new has neither memory nor a handler. */
export const NEW_FAILED_TEXT = "out of memory in 'new'";

/** What stands in front of a message. */
export function prefixOf(kind: "" | "error: " | "warning: ", thread: number): string {
  return `terrane: ${kind}${thread === 0 ? "" : `thread ${hex(thread)}: `}`;
}
