/** The hardened malloc and the combined allocator as subjects of Scudo's tests. */
import {
  type AddressSpace,
  createHardenedMalloc,
  createSizeClassHeap,
  type HardenedMalloc,
  type HardenedOptions,
  memory64Space,
  osSpace,
  type SizeClassAllocator,
  sparseSpace,
} from "#src/sizeclass/index.js";
import { sizeClassSubjects } from "../subjects.js";

/** What Scudo's tests call. `free` passes the size where the allocator checks it. */
export interface Combined {
  name: string;
  /** The largest size of a class. */
  sizeLast: number;
  /** Whether usableSize returns the size of the request. */
  exact: boolean;
  allocate(size: number, alignment: number): number;
  calloc(size: number): number;
  realloc(ptr: number, size: number): number;
  free(ptr: number, size: number): void;
  isOwned(ptr: number): boolean;
  usableSize(ptr: number): number;
  fill(ptr: number, bytes: number, value: number): void;
  load32(ptr: number): number;
}

export interface HardenedSubject {
  name: string;
  create(more?: HardenedOptions): HardenedMalloc;
}

function subject(name: string, options: HardenedOptions): HardenedSubject {
  return { name, create: (more = {}) => createHardenedMalloc({ ...options, ...more }) };
}

/** Profiles of the hardened malloc: both back ends, plain and shared, maps, small regions. */
export const hardenedSubjects: HardenedSubject[] = [
  subject("hardened, wasm", {}),
  subject("hardened, js", { backend: "js" }),
  subject("hardened, wasm, shared", { shared: true }),
  subject("hardened, js, shared", { shared: true, backend: "js" }),
  subject("hardened, wasm, default map", { map: "default", freeArray: 4, spaceSize: 2 ** 27 }),
  subject("hardened, js, default map", {
    map: "default",
    freeArray: 4,
    spaceSize: 2 ** 27,
    backend: "js",
  }),
  subject("hardened, wasm, regions of 128 KiB", { spaceSize: 2 ** 22, granule: 4096 }),
  subject("hardened, js, regions of 128 KiB", {
    spaceSize: 2 ** 22,
    granule: 4096,
    backend: "js",
  }),
  subject("hardened, wasm, quarantine", { quarantineSizeKb: 64, threadLocalQuarantineSizeKb: 8 }),
  subject("hardened, wasm, whole usable sizes", { exactUsableSize: false }),
  subject("hardened, wasm, metadata", { metadataSize: 16 }),
];

function hardenedCombined(name: string, heap: HardenedMalloc): Combined {
  return {
    name,
    sizeLast: heap.heap.primary.map.sizeLast,
    exact: !name.includes("whole usable"),
    allocate: (size, alignment) =>
      alignment > 16 ? heap.memalign(alignment, size) : heap.malloc(size),
    calloc: (size) => heap.calloc(1, size),
    realloc: (ptr, size) => heap.realloc(ptr, size),
    free: (ptr, size) => heap.freeSize(ptr, size),
    isOwned: (ptr) => heap.isOwned(ptr),
    usableSize: (ptr) => heap.usableSize(ptr),
    fill: (ptr, bytes, value) => void heap.u8.fill(value, ptr, ptr + bytes),
    load32: (ptr) => heap.u32[ptr / 4] as number,
  };
}

type Bytes = Pick<Combined, "fill" | "load32">;

/** The combined allocator without headers: any block, live or free, is owned. */
function plainCombined(name: string, heap: SizeClassAllocator, bytes: Bytes): Combined {
  return {
    name,
    sizeLast: heap.primary.map.sizeLast,
    exact: false,
    allocate: (size, alignment) =>
      alignment > 16 ? heap.memalign(alignment, size) : heap.malloc(size),
    calloc: (size) => heap.calloc(1, size),
    realloc: (ptr, size) => heap.realloc(ptr, size),
    free: (ptr) => heap.free(ptr),
    isOwned: (ptr) => ptr !== 0 && heap.blockBegin(ptr) === ptr,
    usableSize: (ptr) => heap.usableSize(ptr),
    ...bytes,
  };
}

function wideCombined(name: string, space: AddressSpace, options: object = {}): Combined {
  return plainCombined(name, createSizeClassHeap({ space, ...options }), {
    fill: (ptr, bytes, value) => space.fill(ptr, bytes, value),
    load32: (ptr) => space.load32(ptr),
  });
}

/** `missing` is called with the spaces that this system or engine lacks. */
function* wideSubjects(missing: (name: string, why: string) => void): Generator<Combined> {
  yield wideCombined("combined, 2^40 bytes, simulated", sparseSpace());
  const others: [string, () => AddressSpace, object][] = [
    ["combined, 2^40 bytes of OS pages", () => osSpace(), {}],
    ["combined, memory64", () => memory64Space({ maximum: 2 ** 32 }), { freeArray: 4 }],
  ];
  for (const [name, make, options] of others) {
    try {
      yield wideCombined(name, make(), options);
    } catch (error) {
      missing(name, (error as Error).message);
    }
  }
}

/** Each profile once: hardened, combined in linear memory, combined beyond it. */
export function combinedAll(missing: (name: string, why: string) => void): Combined[] {
  const hardened = hardenedSubjects.map((one) => hardenedCombined(one.name, one.create()));
  const linear = sizeClassSubjects
    .filter((one) => !/used memory|failing|fixed/.test(one.name))
    .map(({ name, create }) => {
      const heap = create();
      return plainCombined(`combined, ${name}`, heap, {
        fill: (ptr, bytes, value) => void heap.u8.fill(value, ptr, ptr + bytes),
        load32: (ptr) => heap.u32[ptr / 4] as number,
      });
    });
  return [...hardened, ...linear, ...wideSubjects(missing)];
}
