/** The allocator with LLVM's constants over sparse addresses, for the rows of the checklist. */
import assert from "node:assert/strict";
import {
  createSizeClassHeap,
  type SizeClassAllocator,
  type SizeClassOptions,
  type SparseSpace,
  sparseSpace,
} from "#src/sizeclass/index.js";

export interface Subject {
  a: SizeClassAllocator;
  space: SparseSpace;
  /** Ranges that were released, as offsets in their region: [class, from, to]. */
  released: [number, number, number][];
  maps: number[];
  unmaps: number[];
}

/** 2^40 bytes of space, 64 regions of 16 GiB. */
export function original(options: SizeClassOptions = {}): Subject {
  const space = sparseSpace();
  const subject: Subject = {
    space,
    released: [],
    maps: [],
    unmaps: [],
    a: undefined as unknown as SizeClassAllocator,
  };
  const release = space.release.bind(space);
  space.release = (address, bytes) => {
    const id = subject.a.primary.classOf(address);
    const from = id === 0 ? 0 : address - subject.a.primary.regionBegin(id);
    if (id !== 0) subject.released.push([id, from, from + bytes]);
    release(address, bytes);
  };
  subject.a = createSizeClassHeap({
    space,
    onMap: (_, bytes) => subject.maps.push(bytes),
    onUnmap: (_, bytes) => subject.unmaps.push(bytes),
    ...options,
  });
  return subject;
}

export function statsOf({ a }: Subject, id: number) {
  const one = a.primary.stats().find((each) => each.id === id);
  assert.ok(one, `class ${id} has nothing mapped`);
  return one;
}

/** Offsets of chunks, in chunks. */
export function indexes({ a }: Subject, id: number, chunks: readonly number[]): number[] {
  return chunks.map((p) => (p - a.primary.regionBegin(id)) / a.primary.map.size(id));
}
