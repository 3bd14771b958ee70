/** Runs one workload on one allocator and takes the time. */

import type { Allocator, Instance, Mode } from "./allocators.ts";
import { compiled } from "./allocators.ts";
import { isSynthetic, operationsOf, SEED, TABLE_WORDS, traceOf } from "./catalogue.ts";
import type { Measurement } from "./serve.ts";
import { median } from "./stats.ts";
import type { Trace } from "./traces.ts";
import { loadTrace } from "./traces.ts";
import type { Heap } from "./workloads/js.ts";
import { shuffle, workloads } from "./workloads/js.ts";

export const WARM_UP_RUNS = 3;
export const STEADY_RUNS = 5;

/** A workload bound to an instance: run() does all of its operations once. */
export interface Bound {
  readonly operations: number;
  readonly driverBytes: number;
  run(): number;
}

type WasmWorkload = (table: number, aux: number, seed: number, n: number) => number;
type WasmTrace = (ops: number, slots: number, n: number) => number;

function needsMemalign(): never {
  throw new Error("the allocator has no memalign");
}

/** The workloads in wasm, over the memory and the allocator of an instance. */
export function linkWorkloads(instance: Instance): WebAssembly.Exports {
  const { malloc, free, realloc, calloc, memalign = needsMemalign } = instance.exports;
  const memory = instance.memory as WebAssembly.Memory;
  const imports = { env: { memory }, alloc: { malloc, free, realloc, calloc, memalign } };
  const shared = memory.buffer instanceof SharedArrayBuffer;
  const file = `bench/workloads/workloads${shared ? "-shared" : ""}.wasm`;
  return new WebAssembly.Instance(compiled(file), imports).exports;
}

/** A zeroed block of the allocator under test for the use of the driver. */
export function zeroedTable(instance: Instance, words: number): number {
  const table = instance.exports.malloc(words * 4) >>> 0;
  if (table === 0) throw new Error("no memory for the tables");
  new Uint32Array(instance.memory.buffer, table, words).fill(0);
  return table;
}

export function bindWasm(instance: Instance, name: string): Bound {
  if (!isSynthetic(name)) return bindWasmTrace(instance, loadTraceOnce(traceOf(name)));
  const exports = linkWorkloads(instance);
  const workload = exports[name] as WasmWorkload;
  const operations = operationsOf(name);
  const table = zeroedTable(instance, TABLE_WORDS);
  const aux = zeroedTable(instance, TABLE_WORDS);
  if (name === "batch_random") (exports.shuffle as WasmTrace)(aux, SEED, operations);
  const run = () => workload(table, aux, SEED, operations);
  return { operations, driverBytes: 8 * TABLE_WORDS, run };
}

function bindWasmTrace(instance: Instance, trace: Trace): Bound {
  const replay = linkWorkloads(instance).trace as WasmTrace;
  const ops = zeroedTable(instance, trace.ops.length);
  const slots = zeroedTable(instance, trace.slots);
  new Uint32Array(instance.memory.buffer, ops, trace.ops.length).set(trace.ops);
  const driverBytes = trace.ops.byteLength + 4 * trace.slots;
  return { operations: trace.count, driverBytes, run: () => replay(ops, slots, trace.count) };
}

/** Growth detaches the old buffer, which leaves its views with no length; shared ones stay short. */
function jsHeap(instance: Instance): Heap {
  const { malloc, free, realloc, calloc, memalign = needsMemalign } = instance.exports;
  const shared = instance.memory.buffer instanceof SharedArrayBuffer;
  let words = new Uint32Array(instance.memory.buffer);
  const u32 = () => {
    if (shared ? words.buffer !== instance.memory.buffer : words.length === 0) {
      words = new Uint32Array(instance.memory.buffer);
    }
    return words;
  };
  return { malloc, free, realloc, calloc, memalign, u32 };
}

function bindJs(instance: Instance, name: string): Bound {
  const heap = jsHeap(instance);
  if (!isSynthetic(name)) return bindJsTrace(heap, loadTraceOnce(traceOf(name)));
  const workload = workloads[name];
  const operations = operationsOf(name);
  const table = new Uint32Array(TABLE_WORDS);
  const aux = new Uint32Array(TABLE_WORDS);
  if (name === "batch_random") shuffle(aux, SEED, operations);
  return { operations, driverBytes: 0, run: () => workload(heap, table, aux, SEED, operations) };
}

function bindJsTrace(heap: Heap, trace: Trace): Bound {
  const slots = new Uint32Array(trace.slots);
  const run = () => workloads.trace(heap, slots, trace.ops, SEED, trace.count);
  return { operations: trace.count, driverBytes: 0, run };
}

const traces = new Map<string, Trace>();

function loadTraceOnce(name: string): Trace {
  const trace = traces.get(name) ?? loadTrace(name);
  traces.set(name, trace);
  return trace;
}

function bind(instance: Instance, name: string, mode: Mode): Bound {
  const bound = mode === "wasm" ? bindWasm(instance, name) : bindJs(instance, name);
  instance.ready?.();
  return bound;
}

function warmUp(bound: Bound): void {
  for (let i = 0; i < WARM_UP_RUNS; i++) bound.run();
}

/** The garbage collector gives back the memories of instances that are gone. */
export function collect(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

/**
 * In wasm mode the warm-up has an instance of its own, which is thrown away: code is shared by
 * instances, memory is not. From JavaScript a second instance would be a second callee and spoil
 * what the engine has learnt about the first, so there the warm-up is on the same one.
 */
async function warmBound(
  allocator: Allocator,
  name: string,
  mode: Mode,
): Promise<[Instance, Bound]> {
  const first = await allocator.instantiate();
  const bound = bind(first, name, mode);
  warmUp(bound);
  if (mode === "js") return [first, bound];
  const fresh = await allocator.instantiate();
  return [fresh, bind(fresh, name, mode)];
}

/** The first run on a heap grows it and touches its pages: it is not counted. */
export async function measure(allocator: Allocator, name: string, mode: Mode) {
  const [instance, bound] = await warmBound(allocator, name, mode);
  collect();
  const checksum = bound.run() >>> 0;
  const times: number[] = [];
  for (let i = 0; i < STEADY_RUNS; i++) {
    const start = performance.now();
    if (bound.run() >>> 0 !== checksum && !allocator.unchecked)
      throw new Error(`${name}: checksums differ between two runs on ${allocator.name}`);
    times.push(performance.now() - start);
  }
  const memoryBytes = instance.memory.buffer.byteLength - bound.driverBytes;
  const nsPerOperation = (median(times) * 1e6) / bound.operations;
  return { nsPerOperation, checksum, memoryBytes } satisfies Measurement;
}
