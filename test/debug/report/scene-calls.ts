/** The calls of the scenes, one in each function, and the frames that reports show of them. */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { hex } from "#src/common/errors.js";
import { type DebugAllocator, type DebugOptions, debug } from "#src/debug/index.js";
import type { Detectors } from "#src/debug/store/detectors.js";
import { root } from "../../support/checkout.js";
import type { Backing } from "./backings.js";

export interface Scene {
  /** It destroys the heap. */
  readonly ends?: true;
  name: string;
  detector: keyof Detectors;
  options?: DebugOptions;
  /** Makes the mistake with a block of `size` bytes; returns the texts of the reports. */
  play(heap: DebugAllocator, size: number): string[] | Promise<string[]>;
}

type Heap = DebugAllocator;

// Each has one call of the allocator, on the line below its name: `frame` finds it there.

export function allocate(heap: Heap, size: number): number {
  return heap.malloc(size);
}

export function allocateAligned(heap: Heap, size: number): number {
  return heap.memalign(64, size);
}

export function allocateView(heap: Heap, size: number): object {
  return heap.allocArray(Uint8Array, size);
}

export function free(heap: Heap, ptr: number): void {
  heap.free(ptr);
}

export function freeAgain(heap: Heap, ptr: number): void {
  heap.free(ptr);
}

export function freeSized(heap: Heap, ptr: number, size: number, alignment?: number): void {
  heap.freeSized(ptr, size, alignment);
}

export function resize(heap: Heap, ptr: number, size: number): number {
  return heap.realloc(ptr, size);
}

export function resizeSized(heap: Heap, ptr: number, old: number, alignment?: number): number {
  return heap.reallocSized(ptr, old, old + 9, alignment);
}

export function measure(heap: Heap, ptr: number): number {
  return heap.usableSize(ptr);
}

export function look(heap: Heap): void {
  heap.check();
}

export function lookForLeaks(heap: Heap): number {
  return heap.detectLeaks();
}

export function end(heap: Heap): string {
  return heap.destroy();
}

/** Makes the allocator of a scene; `debugOf` is `debug`, or one without a detector. */
export function make(backing: Backing, options: DebugOptions = {}, debugOf = debug): Heap {
  return debugOf(backing, { stackTraceFrames: 1, reportAtExit: false, ...options });
}

const file = `${root}test/debug/report/scene-calls.ts`;
const lines = readFileSync(file, "utf8").split("\n");

/** What a report shows of the one call in a function of this file. */
export function frame(name: string): string {
  const line =
    lines.findIndex((text) => text.replace("export ", "").startsWith(`function ${name}(`)) + 1;
  const text = (lines[line] as string).trim();
  const column = (lines[line] as string).indexOf(text);
  const call = /(heap\.|debug)(?=\w*\()/.exec(text) as RegExpExecArray;
  const at = call.index + (call[1] === "debug" ? 0 : call[0].length);
  const mark = " ".repeat(at);
  return `    at ${name} (${file}:${line + 1}:${column + at + 1})\n      ${text}\n      ${mark}^`;
}

/** The text of a report: a message, then titles, each with the function whose call it shows. */
export function reported(message: string, stacks: [title: string, name: string][]): string {
  return [message, ...stacks.map(([title, name]) => `  ${title}:\n${frame(name)}`)].join("\n");
}

export function theBlock(size: number, ptr: number): string {
  return `the block of ${size} bytes at ${hex(ptr)}`;
}

export function livePtrs(heap: Heap): Set<number> {
  const ptrs = new Set<number>();
  heap.visitBlocks((ptr) => void ptrs.add(ptr));
  return ptrs;
}

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

/** Collects garbage, and lets finalizers run. */
export async function collect(): Promise<void> {
  for (let round = 0; round < 4; round++) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
