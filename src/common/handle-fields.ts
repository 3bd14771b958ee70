/**
 * Fields of handles. A handle comes as a message, and so from anywhere: each field is checked
 * before it is used.
 */
import { forgedHandle } from "./errors.ts";

/** What each field must be: in words, and as a check that may read the other fields. */
export type FieldRules<Handle> = Readonly<
  Record<string, readonly [rule: string, isGood: (value: unknown, handle: Handle) => boolean]>
>;

/** @throws TypeError that names the first field which no allocator has made. */
export function checkFields<Handle extends object>(
  handle: Handle,
  rules: FieldRules<Handle>,
  of?: string,
): void {
  for (const [field, [rule, isGood]] of Object.entries(rules)) {
    if (!isGood(Reflect.get(handle, field), handle)) throw forgedHandle(field, rule, of);
  }
}

export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** Whether a value is a whole number from 0 to `most`. */
export function isWhole(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

/** Where a heap's memory is: one of the two. */
export interface MemoryFields {
  readonly memory?: WebAssembly.Memory | undefined;
  readonly buffer?: SharedArrayBuffer | undefined;
}

/** The rules for what every heap has that threads share: its back end, its memory, its options. */
export const sharedRules: FieldRules<MemoryFields> = {
  backend: ['"wasm" or "js"', (value) => value === "wasm" || value === "js"],
  memory: [
    "the shared memory of the heap",
    (value, { buffer }) => (value === undefined ? buffer !== undefined : isSharedMemory(value)),
  ],
  buffer: [
    "the SharedArrayBuffer of the heap",
    (value, { memory }) => (value === undefined ? memory !== undefined : isSharedBuffer(value)),
  ],
  maximum: ["a number of bytes", (value) => value === undefined || isWhole(value, 2 ** 32)],
  release: ["a boolean", (value) => typeof value === "boolean"],
};

/** The bytes of a memory whose rules hold. */
export function bytesOfHandle({ memory, buffer }: MemoryFields): ArrayBufferLike {
  return memory?.buffer ?? (buffer as SharedArrayBuffer);
}

export function isSharedBuffer(value: unknown): value is SharedArrayBuffer {
  return typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer;
}

function isSharedMemory(value: unknown): boolean {
  if (typeof WebAssembly !== "object" || !(value instanceof WebAssembly.Memory)) return false;
  return isSharedBuffer(value.buffer);
}
