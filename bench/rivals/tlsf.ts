// AssemblyScript's own TLSF (its "minimal" runtime) under C's names. __free and __realloc take
// addresses that __alloc gave out and no null, hence the tests.

export function malloc(size: usize): usize {
  return __alloc(size);
}

export function free(block: usize): void {
  if (block) __free(block);
}

export function realloc(block: usize, size: usize): usize {
  return block ? __realloc(block, size) : __alloc(size);
}

export function calloc(count: usize, size: usize): usize {
  const total = count * size;
  if (size && total / size != count) return 0;
  const block = __alloc(total);
  memory.fill(block, 0, total);
  return block;
}

export function heap_base(): usize {
  return __heap_base;
}
