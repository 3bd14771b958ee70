/** Whether an object can be the handle of a heap: it may come from anywhere, as messages do. */
import { handleError } from "../common/errors.ts";
import {
  bytesOfHandle,
  checkFields,
  type FieldRules,
  isObject,
  isWhole,
  sharedRules,
} from "../common/handle-fields.ts";
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

const rules: FieldRules<HeapHandle> = {
  ...sharedRules,
  start: ["the address of the heap", isStart],
  ticket: ["a thread id", (value) => isWhole(value, THREAD_ID_MAX)],
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
  checkFields(handle, rules);
}

function isCore(value: unknown): boolean {
  if (!(value instanceof WebAssembly.Module)) return false;
  return WebAssembly.Module.exports(value).some(({ name }) => name === "threadAttach");
}

/** A state says where its own first table is. */
function isStart(start: unknown, handle: HeapHandle): boolean {
  if (!isWhole(start, (SLICES_MAX - SHARED_STATE_SLICES) * SLICE_SIZE)) return false;
  const buffer = bytesOfHandle(handle);
  if (start % SLICE_SIZE !== 0) return false;
  if (start + SHARED_STATE_SLICES * SLICE_SIZE > buffer.byteLength) return false;
  const words = new Uint32Array(buffer, start, STATE_TABLE / 4);
  const chunk = Math.floor(start / SLICE_SIZE / 512);
  const top = words[S_TOP / 4] as number;
  return words[S_CHUNKS / 4 + chunk] === start + STATE_TABLE && top <= SLICES_MAX;
}
