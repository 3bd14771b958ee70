// A floor for the benchmark, not an allocator: the least that malloc can do is to move a pointer
// and free can do nothing. Until mark() it hands out fresh memory; from then on it walks a window
// of 1 MiB in circles, so that it is not page faults that are measured. Blocks then overlap, and
// nobody may count on what was written to them. A word before each block keeps its size.

const ALIGNMENT: usize = 16;
const HEADER: usize = 4;
const WINDOW: usize = 1 << 20;

let next: usize = __heap_base;
let start: usize = 0;
let end: usize = __heap_base;

function reserve(limit: usize): bool {
  const missing = <isize>(limit + 0xffff >>> 16) - <isize>memory.size();
  return missing <= 0 || memory.grow(<i32>missing) >= 0;
}

function refill(size: usize): bool {
  if (start) next = start;
  end = next + max(size, WINDOW);
  return reserve(end);
}

export function mark(): void {
  start = next;
  end = start;
}

export function malloc(size: usize): usize {
  const step = size + HEADER + ALIGNMENT - 1 & ~(ALIGNMENT - 1);
  if (step > end - next && !refill(step)) return 0;
  const block = next + ALIGNMENT;
  store<u32>(block - HEADER, size);
  next += step;
  return block;
}

export function free(block: usize): void {}

export function calloc(count: usize, size: usize): usize {
  const block = malloc(count * size);
  if (block) memory.fill(block, 0, count * size);
  return block;
}

export function realloc(block: usize, size: usize): usize {
  const moved = malloc(size);
  if (block && moved) memory.copy(moved, block, min<usize>(load<u32>(block - HEADER), size));
  return moved;
}

export function memalign(alignment: usize, size: usize): usize {
  const block = malloc(size + alignment);
  if (!block) return 0;
  const aligned = block + alignment - 1 & ~(alignment - 1);
  store<u32>(aligned - HEADER, size);
  return aligned;
}
