/**
 * A floor for blocks that live shortly, not an allocator: each instance hands out 1 MiB of its own
 * round and round, and free does nothing. Right where the last 1 MiB covers all that is alive; it
 * shows what a workload and its traffic between cores take by themselves.
 */

const PAGE: usize = 65536;
const CYCLE: usize = 16 * PAGE;

// Of the instance, that is of the thread.
let base: usize = 0;
let at: usize = 0;

function grow(bytes: usize): usize {
  const page = memory.grow(<i32>((bytes + PAGE - 1) / PAGE));
  return page == -1 ? 0 : <usize>page * PAGE;
}

export function malloc(size: usize): usize {
  if (size > PAGE) return grow(size);
  if (base == 0) base = grow(CYCLE);
  const need = (size + 15) & ~15;
  if (at + need > CYCLE) at = 0;
  const block = base + at;
  at += need;
  return block;
}

export function free(block: usize): void {}
