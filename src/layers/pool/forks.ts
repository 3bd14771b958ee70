/** What pools that stand on two pools have in common. */
import { type Alignment, type Calls, definePool, type Pool, type Traits } from "./contract.ts";
import { memoriesDiffer } from "./errors.ts";

type And<A, B> = A extends true ? (B extends true ? true : false) : false;

/** What two pools promise together. */
export interface Both<A extends Traits, B extends Traits> {
  readonly alignment: A["alignment"] | B["alignment"];
  readonly sized: true;
  readonly drops: And<A["drops"], B["drops"]>;
  readonly owns: And<A["owns"], B["owns"]>;
  readonly zeroed: And<A["zeroed"], B["zeroed"]>;
}

/** A pool over two that lie in one memory. destroy ends the first, then the second. */
export function forkOf<A extends Traits, B extends Traits>(
  name: string,
  first: Pool<A>,
  second: Pool<B>,
  verbs: Pick<Calls, "get" | "put">,
): Pool<Both<A, B>> {
  if (first.memory.bytes().buffer !== second.memory.bytes().buffer) throw memoriesDiffer(name);
  const below = [first as Pool<Traits>, second as Pool<Traits>];
  const traits = traitsOf(first.traits, second.traits);
  return definePool(name, traits, first.memory, below, {
    ...verbs,
    destroy() {
      try {
        first.destroy(); // a check in there throws when it finds leaks
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
