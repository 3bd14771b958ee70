/** Cores for tests: both back ends, with validity walks, over a memory the test can look into. */
import { readFileSync } from "node:fs";
import { createCore } from "#check/core.js";
import type { CoreExports } from "#dist/core/contract.js";

/** The check build also exports its walks and some insides; all answer numbers or booleans. */
export interface CheckedCore extends CoreExports {
  heapIsValid(): boolean | number;
  arenaIsValid(): boolean | number;
  pageIsValid(page: number): boolean | number;
  queueIsValid(bin: number): boolean | number;
  pageOf(p: number): number;
  pageCapacity(page: number): number;
  binOf(size: number): number;
  binSize(bin: number): number;
  spanBin(slices: number): number;
}

export type BackEnd = "wasm" | "js";
export const backEnds: BackEnd[] = ["wasm", "js"];

export interface CoreSubject {
  core: CheckedCore;
  memory: WebAssembly.Memory;
  /** Current words of the memory, indexed by address / 4. */
  words(): Uint32Array;
  bytes(): Uint8Array;
  /** Every error that was raised: [code, size]. */
  errors: [number, number][];
  /** Number of growths asked for; set `refuseFrom` to refuse the n-th (1-based) and later ones. */
  growths: number;
  refuseFrom: number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../check/core.wasm", import.meta.url)),
);

/** A core whose state begins at `base` (a multiple of 64 KiB) in a memory of at most `maximum` slices. */
export function coreSubject(backEnd: BackEnd, maximum = 4096, base = 0): CoreSubject {
  const memory = new WebAssembly.Memory({ initial: base / 65536 + 1, maximum });
  const subject = {
    memory,
    errors: [] as [number, number][],
    growths: 0,
    refuseFrom: Number.POSITIVE_INFINITY,
    words: () => new Uint32Array(memory.buffer),
    bytes: () => new Uint8Array(memory.buffer),
  } as CoreSubject;
  const host = {
    get buffer() {
      return memory.buffer;
    },
    grow: (slices: number) => growExactly(subject, slices >>> 0),
    error: (code: number, size: number) => {
      subject.errors.push([code >>> 0, size >>> 0]);
    },
  };
  subject.core =
    backEnd === "js"
      ? (createCore(host) as CheckedCore)
      : (new WebAssembly.Instance(module, { env: { memory, grow: host.grow, error: host.error } })
          .exports as unknown as CheckedCore);
  subject.core.heapInit(base, true);
  return subject;
}

function growExactly(subject: CoreSubject, slices: number): number {
  subject.growths += 1;
  if (subject.growths >= subject.refuseFrom) return 0;
  try {
    return ((slices << 16) | subject.memory.grow(slices)) >>> 0;
  } catch {
    return 0;
  }
}
