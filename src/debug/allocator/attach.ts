/** How other threads attach to a debug allocator over a heap that they share. */
import { versionError } from "../../common/errors.ts";
import {
  checkFields,
  type FieldRules,
  isObject,
  isSharedBuffer,
} from "../../common/handle-fields.ts";
import type { HeapHandle, SharedHeap } from "../../heap/shared-heap.ts";
import type { AllocatorLike } from "../store/allocator-like.ts";
import type { DebugOptions, Settings } from "../store/options.ts";
import { type SharedState, STATE_BYTES } from "../store/shared-state.ts";

/** Changes whenever what threads share does: all need the same terrane. */
const VERSION = 1;

/** What all threads must agree on, and postMessage can clone. */
type SharedOptions = Pick<DebugOptions, (typeof sharedNames)[number]>;

const sharedNames = [
  ...["stackTraceFrames", "enableMemoryLimit", "safety", "neverUnmap", "retainMetadata"],
  ...["resizeStackTraces", "canary", "pageSize", "quarantine", "sampleEvery"],
] as const satisfies (keyof DebugOptions)[];

/** What another thread needs for attachDebug: can be sent with postMessage or as workerData. */
export interface DebugHandle {
  /** Version of what the threads share: only the same version of terrane can attach. */
  readonly terraneDebug: number;
  /** Of the heap below. */
  readonly heap: HeapHandle;
  /** What is known about blocks and stacks. */
  readonly state: SharedArrayBuffer;
  /** The options that all threads have together. */
  readonly options: SharedOptions;
}

const rules: FieldRules<DebugHandle> = {
  heap: ["a handle of the heap below", isObject],
  state: ["the SharedArrayBuffer of what threads share", isState],
  options: [
    "an object with the options that threads share",
    (value) => {
      const names: readonly string[] = sharedNames;
      return isObject(value) && Object.keys(value).every((name) => names.includes(name));
    },
  ],
};

function isState(value: unknown): boolean {
  return isSharedBuffer(value) && value.byteLength === STATE_BYTES;
}

export function handleMake(heap: HeapHandle, state: SharedState, settings: Settings): DebugHandle {
  const options = Object.fromEntries(sharedNames.map((name) => [name, settings[name]]));
  return { terraneDebug: VERSION, heap, state: state.buffer, options };
}

/** @throws TypeError or RangeError for a handle that no allocator of this version has made. */
export function handleCheck(handle: DebugHandle): void {
  const made = (handle as Partial<DebugHandle> | null | undefined)?.terraneDebug;
  if (typeof made !== "number") {
    throw new TypeError("handle must come from handle() of a debug allocator");
  }
  if (made !== VERSION) throw versionError(made, VERSION);
  checkFields(handle, rules, "handle() of a debug allocator");
}

/** @throws TypeError when threads cannot share an allocator. */
export function requireShared(allocator: AllocatorLike): SharedHeap {
  const { handle } = allocator as Partial<SharedHeap>;
  if (typeof handle === "function" && allocator.source?.capabilities.shared) {
    return allocator as unknown as SharedHeap;
  }
  throw new TypeError("threadSafe needs a heap that threads share: createSharedHeap()");
}
