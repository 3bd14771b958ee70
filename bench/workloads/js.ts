/**
 * The workloads of the C files beside this one, driven from JavaScript: the same names, the same
 * random numbers, the same checksums. Tables are typed arrays outside of the heap. Every function
 * calls the allocator from a place of its own, so that the engine sees one callee there; that is
 * why the shape `malloc, then store` is written out again and again.
 *
 * Addresses may arrive as negative numbers: `>>> 2` and typed arrays take them as unsigned.
 */

export interface Heap {
  malloc(size: number): number;
  free(block: number): unknown;
  realloc(block: number, size: number): number;
  calloc(count: number, size: number): number;
  memalign(alignment: number, size: number): number;
  /** The heap's words; asked for anew whenever the memory may have grown. */
  u32(): Uint32Array;
}

export type Workload = (
  heap: Heap,
  table: Uint32Array,
  aux: Uint32Array,
  seed: number,
  n: number,
) => number;

function xorshift(x: number): number {
  x ^= x << 13;
  x ^= x >>> 17;
  return x ^ (x << 5);
}

/** As in C, `x % y` of unsigned numbers. */
function modulo(x: number, y: number): number {
  return (x >>> 0) % y;
}

function load(heap: Heap, block: number): number {
  return heap.u32()[block >>> 2] ?? 0;
}

function store(heap: Heap, block: number, value: number): void {
  heap.u32()[block >>> 2] = value;
}

/** The first store to a new block. An allocator that runs out of memory must not look fast. */
function begin(heap: Heap, block: number, mark: number): void {
  if (block === 0) throw new Error("out of memory");
  heap.u32()[block >>> 2] = mark;
}

function at(table: Uint32Array, index: number): number {
  return table[index] ?? 0;
}

function skewedSize(random: number, classes: number): number {
  const bits = random | (1 << (classes - 1));
  const base = 4 << (31 - Math.clz32(bits & -bits));
  return base + ((random >>> 16) & (base - 1));
}

function releaseAll(heap: Heap, table: Uint32Array, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const block = at(table, i);
    if (block === 0) continue;
    sum = (sum + load(heap, block)) | 0;
    heap.free(block);
  }
  return sum;
}

const lifoFixed: Workload = (heap, _table, _aux, seed, n) => {
  let sum = seed;
  for (let i = 0; i < n; i++) {
    const block = heap.malloc(32);
    begin(heap, block, i);
    sum = (sum + load(heap, block)) | 0;
    heap.free(block);
  }
  return sum;
};

const lifoMixed: Workload = (heap, _table, _aux, seed, n) => {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    seed = xorshift(seed);
    const block = heap.malloc(16 + modulo(seed, 1009));
    begin(heap, block, i);
    sum = (sum + load(heap, block)) | 0;
    heap.free(block);
  }
  return sum;
};

const stackWalk: Workload = (heap, table, _aux, seed, n) => {
  let sum = 0;
  let depth = 0;
  for (let i = 0; i < 2 * n; i++) {
    seed = xorshift(seed);
    if (depth === 0 || (depth < 1000 && (seed & 0x8000) !== 0)) {
      const block = heap.malloc(16 + ((seed >>> 16) % 1009));
      begin(heap, block, i);
      table[depth++] = block;
    } else {
      const block = at(table, --depth);
      sum = (sum + load(heap, block)) | 0;
      heap.free(block);
    }
  }
  return sum + releaseAll(heap, table, depth);
};

/** A workload that replaces random ones of `live` blocks of least..least + sizes - 1 bytes. */
function replacing(live: number, least: number, sizes: number): Workload {
  return (heap, table, _aux, seed, n) => {
    let sum = 0;
    for (let i = 0; i < live; i++) {
      seed = xorshift(seed);
      table[i] = heap.malloc(least + modulo(seed, sizes));
      begin(heap, at(table, i), i);
    }
    for (let i = 0; i < n; i++) {
      seed = xorshift(seed);
      const victim = (seed >>> 12) % live;
      const old = at(table, victim);
      sum = (sum + load(heap, old)) | 0;
      heap.free(old);
      seed = xorshift(seed);
      const block = heap.malloc(least + modulo(seed, sizes));
      begin(heap, block, i);
      table[victim] = block;
    }
    return sum + releaseAll(heap, table, live);
  };
}

const TOGGLED = 100_000;
const TOGGLED_CLASSES = 11;

const allocTest: Workload = (heap, table, _aux, seed, n) => {
  let sum = 0;
  for (let i = 0; i < TOGGLED; i++) {
    seed = xorshift(seed);
    table[i] = 0;
    if ((i & 1) === 0) continue;
    table[i] = heap.malloc(skewedSize(seed, TOGGLED_CLASSES));
    begin(heap, at(table, i), i);
  }
  for (let i = 0; i < 2 * n; i++) {
    seed = xorshift(seed);
    const index = modulo(seed, TOGGLED);
    const old = at(table, index);
    if (old !== 0) {
      sum = (sum + load(heap, old)) | 0;
      heap.free(old);
      table[index] = 0;
    } else {
      seed = xorshift(seed);
      const block = heap.malloc(skewedSize(seed, TOGGLED_CLASSES));
      begin(heap, block, i);
      table[index] = block;
    }
  }
  return sum + releaseAll(heap, table, TOGGLED);
};

const LARGE_SLOTS = 32;

const large: Workload = (heap, table, _aux, seed, n) => {
  let sum = 0;
  table.fill(0, 0, LARGE_SLOTS);
  for (let i = 0; i < n; i++) {
    seed = xorshift(seed);
    const index = (seed >>> 20) % LARGE_SLOTS;
    const least = 65536 << modulo(seed, 6);
    const old = at(table, index);
    if (old !== 0) {
      sum = (sum + load(heap, old)) | 0;
      heap.free(old);
    }
    seed = xorshift(seed);
    const size = (least + (seed & (least - 1))) & ~3;
    const block = heap.malloc(size);
    begin(heap, block, i);
    store(heap, block + size - 4, i);
    table[index] = block;
  }
  return sum + releaseAll(heap, table, LARGE_SLOTS);
};

const VARIABLES = 16;
const VALUE = 4;

function newNumber(heap: Heap, random: number, value: number): number {
  const block = heap.malloc(8 + (modulo(random, 15) << 2));
  begin(heap, block, 1);
  store(heap, block + VALUE, value);
  return block;
}

function letGo(heap: Heap, block: number): number {
  const count = load(heap, block) - 1;
  if (count !== 0) {
    store(heap, block, count);
    return 0;
  }
  const value = load(heap, block + VALUE);
  heap.free(block);
  return value;
}

function copyReference(heap: Heap, table: Uint32Array, to: number, from: number): number {
  const shared = at(table, from);
  const old = at(table, to);
  store(heap, shared, load(heap, shared) + 1);
  table[to] = shared;
  return letGo(heap, old);
}

function combine(heap: Heap, table: Uint32Array, to: number, from: number, random: number): number {
  const old = at(table, to);
  const a = load(heap, old + VALUE);
  const b = load(heap, at(table, from) + VALUE);
  const product = newNumber(heap, random, Math.imul(a, b));
  const quotient = newNumber(heap, random >>> 8, load(heap, product + VALUE) + random);
  const rest = newNumber(heap, random >>> 16, load(heap, quotient + VALUE) ^ b);
  const sum = letGo(heap, quotient) + letGo(heap, product);
  table[to] = rest;
  return (sum + letGo(heap, old)) | 0;
}

const cfrac: Workload = (heap, table, _aux, seed, n) => {
  let sum = 0;
  for (let i = 0; i < VARIABLES; i++) table[i] = newNumber(heap, i, i + 3);
  for (let i = 0; i < Math.floor(n / 3); i++) {
    seed = xorshift(seed);
    const to = modulo(seed, VARIABLES);
    const from = (seed >>> 4) % VARIABLES;
    if (seed >>> 28 === 0) sum += copyReference(heap, table, to, from);
    sum = (sum + combine(heap, table, to, from, seed)) | 0;
  }
  for (let i = 0; i < VARIABLES; i++) sum += letGo(heap, at(table, i));
  return sum;
};

const THIRD = 400;
const BATCH = 3 * THIRD;
const SMALL_CLASSES = 8;
const BATCH_CLASSES = 9;

/** What batch_random wants in aux; not part of its time. */
export function shuffle(aux: Uint32Array, seed: number, n: number): void {
  for (let i = 0; i < n; i++) aux[i] = i;
  for (let i = n - 1; i > 0; i--) {
    seed = xorshift(seed);
    const other = modulo(seed, i + 1);
    const moved = at(aux, i);
    aux[i] = at(aux, other);
    aux[other] = moved;
  }
}

function allocateBatch(heap: Heap, table: Uint32Array, seed: number, n: number): void {
  for (let i = 0; i < n; i++) {
    seed = xorshift(seed);
    const block = heap.malloc(skewedSize(seed, BATCH_CLASSES));
    begin(heap, block, i);
    table[i] = block;
  }
}

const batchFifo: Workload = (heap, table, _aux, seed, n) => {
  let sum = 0;
  allocateBatch(heap, table, seed, n);
  for (let i = 0; i < n; i++) {
    const block = at(table, i);
    sum = (sum + (load(heap, block) ^ i)) | 0;
    heap.free(block);
  }
  return sum;
};

const batchRandom: Workload = (heap, table, aux, seed, n) => {
  let sum = 0;
  allocateBatch(heap, table, seed, n);
  for (let i = 0; i < n; i++) {
    const block = at(table, at(aux, i));
    sum = (sum + (load(heap, block) ^ i)) | 0;
    heap.free(block);
  }
  return sum;
};

function release(heap: Heap, table: Uint32Array, index: number): number {
  const block = at(table, index);
  const mark = load(heap, block);
  heap.free(block);
  return mark;
}

function releaseBatch(heap: Heap, table: Uint32Array, first: number): number {
  const second = first + THIRD;
  const third = second + THIRD;
  const end = third + THIRD;
  let sum = 0;
  for (let i = first; i < second; i++) sum = (sum + release(heap, table, i)) | 0;
  for (let i = third; i > second; i--) sum = (sum + release(heap, table, i - 1)) | 0;
  for (let i = third; i < end; i += 2) sum = (sum + release(heap, table, i)) | 0;
  for (let i = third + 1; i < end; i += 2) sum = (sum + release(heap, table, i)) | 0;
  return sum;
}

const sh6: Workload = (heap, table, _aux, seed, n) => {
  let sum = 0;
  for (let done = 0; done + BATCH <= n; done += BATCH) {
    for (let i = 0; i < BATCH; i++) {
      seed = xorshift(seed);
      const block = heap.malloc(skewedSize(seed, SMALL_CLASSES));
      begin(heap, block, done + i);
      table[i] = block;
    }
    sum = (sum + releaseBatch(heap, table, 0)) | 0;
  }
  return sum;
};

function sh8Size(random: number): number {
  if ((random & 0xc000) !== 0) return skewedSize(random, SMALL_CLASSES);
  return 4 + ((random >>> 16) % 2045);
}

const sh8: Workload = (heap, table, _aux, seed, n) => {
  let sum = 0;
  const batches = Math.floor(n / BATCH);
  for (let batch = 0; batch < batches; batch++) {
    const first = (batch % 3) * BATCH;
    for (let i = first; i < first + BATCH; i++) {
      seed = xorshift(seed);
      const block = heap.malloc(sh8Size(seed));
      begin(heap, block, batch + i);
      table[i] = block;
    }
    if (batch >= 2) sum = (sum + releaseBatch(heap, table, ((batch - 2) % 3) * BATCH)) | 0;
  }
  for (let batch = Math.max(batches - 2, 0); batch < batches; batch++)
    sum = (sum + releaseBatch(heap, table, (batch % 3) * BATCH)) | 0;
  return sum;
};

const BUFFERS = 64;
const FIRST_SIZE = 16;
const LAST_SIZE = 65536;

function grown(size: number, random: number): number {
  return (random & 1) !== 0 ? size + (size >>> 1) : size + 8 + ((random >>> 1) % 64);
}

function startBuffers(heap: Heap, table: Uint32Array, sizes: Uint32Array): void {
  for (let i = 0; i < BUFFERS; i++) {
    const block = heap.malloc(FIRST_SIZE);
    begin(heap, block, i);
    table[i] = block;
    sizes[i] = FIRST_SIZE;
  }
}

const reallocGrowth: Workload = (heap, table, sizes, seed, n) => {
  let sum = 0;
  startBuffers(heap, table, sizes);
  for (let i = 0; i < n; i++) {
    seed = xorshift(seed);
    const index = (seed >>> 20) % BUFFERS;
    const oldSize = at(sizes, index);
    const size = oldSize >= LAST_SIZE ? FIRST_SIZE : grown(oldSize, seed);
    let block = at(table, index);
    if (oldSize >= LAST_SIZE) {
      sum = (sum + load(heap, block)) | 0;
      heap.free(block);
      block = heap.malloc(size);
    } else {
      block = heap.realloc(block, size);
      sum = (sum + load(heap, block)) | 0;
    }
    begin(heap, block, i);
    store(heap, block + (size & ~3) - 4, i);
    table[index] = block;
    sizes[index] = size;
  }
  return sum + releaseAll(heap, table, BUFFERS);
};

const MALLOC = 0;
const CALLOC = 1;
const MEMALIGN = 2;
const REALLOC = 3;
const FREE = 4;

function call(heap: Heap, kind: number, block: number, a: number, b: number): number {
  switch (kind) {
    case MALLOC:
      return heap.malloc(a);
    case CALLOC:
      return heap.calloc(a, b);
    case MEMALIGN:
      return heap.memalign(a, b);
    case REALLOC:
      return heap.realloc(block, a);
    default:
      heap.free(block);
      return 0;
  }
}

function sizeOf(kind: number, a: number, b: number): number {
  switch (kind) {
    case CALLOC:
      return a * b;
    case MEMALIGN:
      return b;
    case FREE:
      return 0;
    default:
      return a;
  }
}

/** Replays the n operations in aux; trace.c explains them. */
const trace: Workload = (heap, slots, ops, _seed, n) => {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const kind = at(ops, i * 4);
    const index = at(ops, i * 4 + 1);
    const a = at(ops, i * 4 + 2);
    const b = at(ops, i * 4 + 3);
    const old = at(slots, index);
    if (kind === FREE && a === 0) sum = (sum + load(heap, old)) | 0;
    const block = call(heap, kind, old, a, b);
    slots[index] = block;
    if (sizeOf(kind, a, b) < 4) continue;
    if (kind === CALLOC || (kind === REALLOC && b === 0)) sum = (sum + load(heap, block)) | 0;
    begin(heap, block, i + 1);
  }
  return sum;
};

export const workloads = {
  lifo_fixed: lifoFixed,
  lifo_mixed: lifoMixed,
  stack_walk: stackWalk,
  cfrac,
  replace_1000: replacing(1000, 16, 1009),
  larson: replacing(5000, 8, 993),
  alloc_test: allocTest,
  sh6,
  sh8,
  batch_fifo: batchFifo,
  batch_random: batchRandom,
  realloc_growth: reallocGrowth,
  large,
  trace,
} satisfies Record<string, Workload>;
