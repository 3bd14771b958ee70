/** C's string duplicators. */

import { load8, memoryCopy, store8 } from "../target/glue.ts";
import { malloc } from "./alloc.ts";

/** Bytes before the first NUL, at most `max`. */
export function strnlen(p: usize, max: usize): usize {
  let n: usize = 0;
  while (n < max && load8(p + n, 0) !== 0) n = n + 1;
  return n;
}

/** A copy of the NUL-terminated string at p; 0 for null. */
export function strdup(p: usize): usize {
  return strndup(p, 0xffffffff);
}

/** A NUL-terminated copy of at most `max` bytes of the string at p; 0 for null. */
export function strndup(p: usize, max: usize): usize {
  if (p === 0) return 0;
  const size: usize = strnlen(p, max);
  const copy: usize = malloc(size + 1);
  if (copy === 0) return 0;
  memoryCopy(copy, p, size);
  store8(copy + size, 0, 0);
  return copy;
}
