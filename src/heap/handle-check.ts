/** Whether an object can be the handle of a heap: it may come from anywhere, as messages do. */
import { forgedHandle, handleError } from "../common/errors.ts";
import {
  S_CHUNKS,
  S_TOP,
  SHARED_STATE_SLICES,
  SLICE_SIZE,
  SLICES_MAX,
  STATE_TABLE,
  THREAD_ID_MAX,
} from "../core/layout/layout.ts";
import { HANDLE_VERSION, type HeapHandle } from "./shared-heap.ts";

/** What each field must be, and in words. */
const rules: Record<string, [rule: string, good: (value: unknown, of: HeapHandle) => boolean]> = {
  backend: ['"wasm" or "js"', (value) => value === "wasm" || value === "js"],
  memory: [
    "the shared memory of the heap",
    (value, { buffer }) => (value === undefined ? buffer !== undefined : isSharedMemory(value)),
  ],
  buffer: [
    "the SharedArrayBuffer of the heap",
    (value, { memory }) => (value === undefined ? memory !== undefined : isShared(value)),
  ],
  start: ["the address of the heap", (value, handle) => isStart(value, handle)],
  ticket: ["a thread id", (value) => isWhole(value, THREAD_ID_MAX)],
  maximum: ["a number of bytes", (value) => value === undefined || isWhole(value, 2 ** 32)],
  release: ["a boolean", (value) => typeof value === "boolean"],
  hardening: ["an object", (value) => value === undefined || isObject(value)],
  statsLevel: ["0, 1 or 2", (value) => value === undefined || isWhole(value, 2)],
  watch: ["a name", (value) => value === undefined || typeof value === "string"],
  module: [
    "the compiled core",
    (value, { backend }) => (backend === "wasm" ? isCore(value) : value === undefined),
  ],
};

/** @throws TypeError for what no heap has made; RangeError for a handle of another version. */
export function handleCheck(handle: HeapHandle): void {
  if (handle?.terrane !== HANDLE_VERSION) throw handleError(handle, HANDLE_VERSION);
  for (const [field, [rule, isGood]] of Object.entries(rules)) {
    if (!isGood(handle[field as keyof HeapHandle], handle)) throw forgedHandle(field, rule);
  }
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function isWhole(value: unknown, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

function isShared(value: unknown): value is SharedArrayBuffer {
  return typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer;
}

function isSharedMemory(value: unknown): boolean {
  if (typeof WebAssembly !== "object" || !(value instanceof WebAssembly.Memory)) return false;
  return isShared(value.buffer);
}

function isCore(value: unknown): boolean {
  if (!(value instanceof WebAssembly.Module)) return false;
  return WebAssembly.Module.exports(value).some(({ name }) => name === "threadAttach");
}

/** A state says where its own first table is. */
function isStart(value: unknown, { memory, buffer: given }: HeapHandle): boolean {
  const buffer = memory?.buffer ?? given;
  if (!isWhole(value, (SLICES_MAX - SHARED_STATE_SLICES) * SLICE_SIZE) || !buffer) return false;
  const start = value as number;
  if (start % SLICE_SIZE !== 0) return false;
  if (start + SHARED_STATE_SLICES * SLICE_SIZE > buffer.byteLength) return false;
  const words = new Uint32Array(buffer, start, STATE_TABLE / 4);
  const chunk = Math.floor(start / SLICE_SIZE / 512);
  const top = words[S_TOP / 4] as number;
  return words[S_CHUNKS / 4 + chunk] === start + STATE_TABLE && top <= SLICES_MAX;
}
