/** Where heaps are: both back ends, for one thread and for threads. */
import { test } from "node:test";
import type { Heap } from "#src/heap/index.js";
import { type AnyHeapOptions, anyHeap } from "./any-heap.js";

/** Each by its name; the memory never grows beyond `maximum`. */
export function placesOf(maximum: number): [name: string, options: AnyHeapOptions][] {
  return [
    ["wasm", { maximum }],
    ["js", { backend: "js", maximum }],
    ["wasm, shared", { shared: true, maximum }],
    ["js, shared", { shared: true, backend: "js", maximum }],
  ];
}

export type HeapMake = (more?: AnyHeapOptions) => Heap;

/** Declares a test in each place, with a function that makes heaps there. */
export function testPlaces(
  places: readonly [name: string, options: AnyHeapOptions][],
  name: string,
  body: (make: HeapMake) => void,
): void {
  for (const [place, options] of places) {
    test(`${place}: ${name}`, () => body((more) => anyHeap({ ...options, ...more })));
  }
}
