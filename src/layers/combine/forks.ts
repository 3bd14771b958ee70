/** Pools over two pools: the common part of hybrid and fallback. */
import {
  type Alignment,
  type Calls,
  definePool,
  type Pool,
  type Traits,
} from "../pool/contract.ts";
import { memoriesDiffer, requirePool } from "../pool/errors.ts";

type And<A, B> = A extends true ? (B extends true ? true : false) : false;

/** What a pool over two pools guarantees: what both of them do. */
export interface Both<A extends Traits, B extends Traits> {
  /** The smaller of the two alignments, in bytes. */
  readonly alignment: A["alignment"] | B["alignment"];
  /** `put` needs the size that `get` was given. */
  readonly sized: true;
  /** `destroy` gives all memory back, where both pools do. */
  readonly drops: And<A["drops"], B["drops"]>;
  /** `owns` tells the blocks of this pool from others, where both pools can. */
  readonly owns: And<A["owns"], B["owns"]>;
  /** The bytes of a block are zero when `get` returns it, where both pools do that. */
  readonly zeroed: And<A["zeroed"], B["zeroed"]>;
}

/** A pool over two that lie in one memory. `destroy` destroys the first, then the second. */
export function forkOf<A extends Traits, B extends Traits>(
  name: string,
  first: Pool<A>,
  second: Pool<B>,
  calls: Pick<Calls, "get" | "put">,
): Pool<Both<A, B>> {
  requirePool(name, first);
  requirePool(name, second);
  if (first.memory.bytes().buffer !== second.memory.bytes().buffer) throw memoriesDiffer(name);
  const below = [first as Pool<Traits>, second as Pool<Traits>];
  const traits = traitsOf(first.traits, second.traits);
  return definePool(name, traits, first.memory, below, {
    ...calls,
    destroy() {
      try {
        first.destroy(); // throws when a check in it has found leaks
      } finally {
        second.destroy();
      }
    },
    ...(traits.owns && { owns: (ptr: number) => first.owns(ptr) || second.owns(ptr) }),
  }) as Pool<Traits> as Pool<Both<A, B>>;
}

function traitsOf(a: Traits, b: Traits): Traits {
  return {
    alignment: Math.min(a.alignment, b.alignment) as Alignment,
    sized: true,
    drops: a.drops && b.drops,
    owns: a.owns && b.owns,
    zeroed: a.zeroed && b.zeroed,
  };
}
