/** Traces of real programs, made ready for replay: text in, four words an operation out. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { fromRoot } from "./paths.ts";

export const MALLOC = 0;
export const CALLOC = 1;
export const MEMALIGN = 2;
export const REALLOC = 3;
export const FREE = 4;

export interface Trace {
  /** {kind, slot, a, b} as workloads/trace.c explains them. */
  readonly ops: Uint32Array;
  readonly count: number;
  readonly slots: number;
  readonly usesMemalign: boolean;
}

const SUFFIX = ".trace.gz";

export function traceNames(): string[] {
  const folder = fromRoot("bench/traces");
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith(SUFFIX));
  return files.map((file) => file.slice(0, -SUFFIX.length)).sort();
}

export function loadTrace(name: string): Trace {
  const packed = readFileSync(fromRoot(`bench/traces/${name}${SUFFIX}`));
  return prepareTrace(gunzipSync(packed).toString("latin1"));
}

/** Slots are used again, the latest first, so that the table stays as small as the live set. */
class Recorder {
  readonly words: number[] = [];
  usesMemalign = false;
  slotCount = 0;
  readonly #free: number[] = [];
  readonly #slotOf = new Map<number, number>();
  readonly #sizeOf = new Map<number, number>();

  allocate(kind: number, id: number, a: number, b: number, size: number): void {
    const slot = this.#free.pop() ?? this.slotCount++;
    this.words.push(kind, slot, a, b);
    this.#slotOf.set(id, slot);
    this.#sizeOf.set(id, size);
    if (kind === MEMALIGN) this.usesMemalign = true;
  }

  reallocate(oldId: number, id: number, size: number): void {
    if (oldId === 0) {
      this.allocate(REALLOC, id, size, 1, size);
      return;
    }
    const { slot, small } = this.#forget(oldId);
    this.words.push(REALLOC, slot, size, small);
    this.#slotOf.set(id, slot);
    this.#sizeOf.set(id, size);
  }

  free(id: number): void {
    const { slot, small } = this.#forget(id);
    this.words.push(FREE, slot, small, 0);
    this.#free.push(slot);
  }

  /** A replay must leave nothing behind, or it could not be repeated on the same heap. */
  freeRest(): void {
    for (const id of [...this.#slotOf.keys()]) this.free(id);
  }

  #forget(id: number): { slot: number; small: number } {
    const slot = this.#slotOf.get(id);
    const size = this.#sizeOf.get(id);
    if (slot === undefined || size === undefined) throw new Error(`trace: ${id} is not live`);
    this.#slotOf.delete(id);
    this.#sizeOf.delete(id);
    return { slot, small: size < 4 ? 1 : 0 };
  }
}

function record(recorder: Recorder, line: string): void {
  const [kind, first = "0", second = "0", third = "0"] = line.split(" ");
  const [a, b, c] = [Number(first), Number(second), Number(third)];
  if (kind === "m") recorder.allocate(MALLOC, a, b, 0, b);
  else if (kind === "c") recorder.allocate(CALLOC, a, b, c, b * c);
  else if (kind === "a") recorder.allocate(MEMALIGN, a, b, c, c);
  else if (kind === "r") recorder.reallocate(a, b, c);
  else if (kind === "f") recorder.free(a);
  else if (kind !== "t") throw new Error(`trace: unknown line "${line}"`);
}

export function prepareTrace(text: string): Trace {
  const recorder = new Recorder();
  for (const line of text.split("\n")) {
    if (line !== "" && !line.startsWith("#")) record(recorder, line);
  }
  recorder.freeRest();
  const { words, slotCount: slots, usesMemalign } = recorder;
  return { ops: Uint32Array.from(words), count: words.length / 4, slots, usesMemalign };
}
