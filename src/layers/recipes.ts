/** Finished allocators, two lines each. */

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

/** Kingsley's: powers of two from chunks, fast and generous with memory. */
export const kingsley = <T extends Traits>(source: Pool<T>) => pipe(source, chunk(), segregated());

/** For one request or frame: blocks one behind the other, and all of them gone by destroy. */
export const arena = <T extends Traits>(source: Pool<T>) => pipe(source, zone(16384));

/** Like Doug Lea's: blocks that join their neighbours, large ones straight from the source. */
export const lea = <T extends Traits>(source: Pool<T>) =>
  hybrid(65536, pipe(source, ground(), coalescing(262144)), source);

/** Bonwick's: slabs of blocks of one size under magazines. Needs slices, as mmap gives them. */
export const bonwick = <T extends Traits & { readonly alignment: 65536 }>(source: Pool<T>) =>
  pipe(source, slab(), magazines());

/** Like DieHard: random places with room between, and freed blocks poisoned for a while. */
export const dieHard = <T extends Traits>(source: Pool<T>) =>
  pipe(source, randomised(), quarantine({ bytes: 65536 }));
