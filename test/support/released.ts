/** Memory that goes back, in the kernel's own figures: a process of its own measures itself. */
import assert from "node:assert/strict";
import { child } from "./os.js";

const MIB = 2 ** 20;

/** Resident bytes: of the whole process, and of the heap's memory. */
export type Figures = [all: number, range: number];

/** For a scene with a `heap`: `figures()` tells both, as `os` and `wait` are there too. */
export const figuresSource = `
  const { osPages } = await import("terrane/memory");
  const { readFileSync } = await import("node:fs");
  const os = osPages();
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const figures = () => {
    for (let i = 0; i < 3; i++) gc(); // what JavaScript has left lying is not the heap's
    const smaps = readFileSync("/proc/self/smaps_rollup", "latin1");
    const all = Number(/^Rss: +(\\d+) kB/m.exec(smaps)[1]) * 1024;
    const range = os.residency(os.addressOf(heap.buffer), heap.buffer.byteLength);
    return [all, range.residentBytes].join(" ");
  };`;

/** Frees blocks that are chained through their first words: the program keeps no list of its own. */
export const drainSource = `
  function drain(last) {
    for (let ptr = last; ptr !== 0; ) {
      const next = heap.u32[ptr >>> 2];
      heap.free(ptr);
      ptr = next;
    }
  }`;

/** V8's young generation would grow by 4 MiB in a program that runs long enough. */
const YOUNG = "--max-semi-space-size=1";

/** What a scene prints: at the start, with all blocks, and afterwards. */
export function figuresOf(source: string): Figures[] {
  const { stdout, stderr, status } = child(source, {}, "--expose-gc", YOUNG);
  assert.equal(status, 0, stderr);
  return stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" ").map(Number) as Figures);
}

/** The bar: within 5 % of the start, of what the whole process has in memory. */
export function assertReleased(t: { diagnostic(text: string): void }, lines: Figures[]): void {
  const [start, full, after] = lines as [Figures, Figures, Figures];
  const mib = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`;
  t.diagnostic(`process ${[start, full, after].map(([all]) => mib(all)).join(", ")}`);
  t.diagnostic(`memory ${[start, full, after].map(([, range]) => mib(range)).join(", ")}`);
  assert.ok(after[0] <= start[0] * 1.05, "the process is within 5 % of its start");
  assert.ok(after[1] <= start[1] + MIB, "the memory is back to its state");
}
