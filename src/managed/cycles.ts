/** Groups of blocks that hold each other: strongly connected components, after Tarjan, 1972. */

type Targets = (ptr: number) => number[];

/** @param counts references to each block, including those from other blocks. */
export function cyclesFind(counts: ReadonlyMap<number, number>, targets: Targets): number[][] {
  const lost = unreachable(counts, targets);
  return components(lost, targets).filter(
    (group) => group.length > 1 || targets(group[0] as number).includes(group[0] as number),
  );
}

/** Blocks that cannot be reached by a reference from outside of the blocks. */
function unreachable(counts: ReadonlyMap<number, number>, targets: Targets): Set<number> {
  const outside = new Map(counts);
  for (const ptr of counts.keys()) {
    for (const target of targets(ptr)) outside.set(target, (outside.get(target) ?? 0) - 1);
  }
  const lost = new Set(counts.keys());
  const reached = [...outside].filter(([, count]) => count > 0).map(([ptr]) => ptr);
  for (let ptr = reached.pop(); ptr !== undefined; ptr = reached.pop()) {
    if (lost.delete(ptr)) reached.push(...targets(ptr));
  }
  return lost;
}

/** A block on the path, and its targets that are still to be visited. */
interface Step {
  readonly ptr: number;
  readonly next: number[];
}

/** Without recursion, because chains can be long. */
function components(nodes: ReadonlySet<number>, targets: Targets): number[][] {
  const order = new Map<number, number>();
  const low = new Map<number, number>();
  const open: number[] = [];
  const inOpen = new Set<number>();
  const groups: number[][] = [];

  function begin(ptr: number): Step {
    order.set(ptr, order.size);
    low.set(ptr, order.get(ptr) as number);
    open.push(ptr);
    inOpen.add(ptr);
    return { ptr, next: targets(ptr).filter((target) => nodes.has(target)) };
  }

  function lower(ptr: number, to: number): void {
    low.set(ptr, Math.min(low.get(ptr) as number, to));
  }

  function close(ptr: number): void {
    if (low.get(ptr) !== order.get(ptr)) return;
    const group = open.splice(open.lastIndexOf(ptr));
    for (const member of group) inOpen.delete(member);
    groups.push(group);
  }

  for (const node of nodes) {
    const path = order.has(node) ? [] : [begin(node)];
    for (let step = path.at(-1); step; step = path.at(-1)) {
      const target = step.next.pop();
      if (target === undefined) {
        close(step.ptr);
        path.pop();
        const parent = path.at(-1);
        if (parent) lower(parent.ptr, low.get(step.ptr) as number);
      } else if (!order.has(target)) path.push(begin(target));
      else if (inOpen.has(target)) lower(step.ptr, order.get(target) as number);
    }
  }
  return groups;
}
