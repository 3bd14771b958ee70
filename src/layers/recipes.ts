/** Finished allocators, two lines each. */
import { chunk } from "./chunk.ts";
import { coalescing } from "./coalescing.ts";
import type { Pool, Traits } from "./contract.ts";
import { ground } from "./ground.ts";
import { hybrid } from "./hybrid.ts";
import { pipe } from "./pipe.ts";
import { segregated } from "./segregated.ts";
import { zone } from "./zone.ts";

/** Kingsley's: powers of two from chunks, fast and generous with memory. */
export const kingsley = <T extends Traits>(source: Pool<T>) => pipe(source, chunk(), segregated());

/** For one request or frame: blocks one behind the other, and all of them gone by deinit. */
export const arena = <T extends Traits>(source: Pool<T>) => pipe(source, zone(16384));

/** Like Doug Lea's: blocks that join their neighbours, large ones straight from the source. */
export const lea = <T extends Traits>(source: Pool<T>) =>
  hybrid(65536, pipe(source, ground(), coalescing(262144)), source);
