/** Finished allocators of a few layers each. */

import { ground } from "./combine/ground.ts";
import { hybrid } from "./combine/hybrid.ts";
import { quarantine } from "./observe/quarantine.ts";
import { pipe } from "./pipe.ts";
import type { Pool, Traits } from "./pool/contract.ts";
import { chunk } from "./storage/chunk.ts";
import { coalescing } from "./storage/coalescing.ts";
import { magazines } from "./storage/magazines.ts";
import { randomised } from "./storage/randomised.ts";
import { segregated } from "./storage/segregated.ts";
import { slab } from "./storage/slab.ts";
import { zone } from "./storage/zone.ts";

/**
 * Kingsley's allocator: sizes rounded up to powers of two, from chunks of 64 KiB. Fast, and uses up
 * to twice the memory.
 *
 * @example
 * const pool = kingsley(std(createHeap()));
 */
export const kingsley = <T extends Traits>(source: Pool<T>) => pipe(source, chunk(), segregated());

/**
 * For one request or frame: places blocks one after the other in chunks of 16 KiB; `destroy` frees
 * all of them at once, and `put` frees nothing.
 *
 * @example
 * using request = arena(std(createHeap()));
 */
export const arena = /* @__PURE__ */ zone(16384);

/**
 * Like Doug Lea's allocator: exact sizes, joined with free neighbours, up to 64 KiB; larger blocks
 * come from the source as they are.
 *
 * @example
 * const pool = lea(std(createHeap()));
 */
export const lea = <T extends Traits>(source: Pool<T>) =>
  hybrid(65536, pipe(source, ground(), coalescing(262144)), source);

/**
 * Bonwick's allocator: slabs of blocks of one size, below magazines. Needs a source that is aligned
 * to 65536, such as `mmap(heap)` or `slices(memory)`.
 *
 * @example
 * const pool = bonwick(mmap(createHeap()));
 */
export const bonwick = <T extends Traits & { readonly alignment: 65536 }>(source: Pool<T>) =>
  pipe(source, slab(), magazines());

/**
 * Like DieHard: blocks at random addresses with free space between them, and 64 KiB of freed blocks
 * kept in quarantine.
 *
 * @example
 * const pool = dieHard(std(createHeap()));
 */
export const dieHard = <T extends Traits>(source: Pool<T>) =>
  pipe(source, randomised(), quarantine({ bytes: 65536 }));
