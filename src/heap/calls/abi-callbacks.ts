/**
 * mimalloc's C functions that take a function of the program: an index into its table of functions.
 */
import { type ErrnoAbi, errnoOf } from "../../common/errno.ts";
import { tagOf } from "../../common/kinds.ts";
import { outputWrite, registerOutput } from "../../common/log-output.ts";
import type { CoreExports } from "../../core/contract.ts";
import type { HeapArea } from "../stats/walk.ts";
import { heapIds } from "./abi-heaps.ts";
import type { AbiFunction, CallbackHost, StatsSource } from "./contract.ts";

/** A table of functions, or a function that returns it once the module has an instance. */
export type FunctionTable = WebAssembly.Table | (() => unknown);

type Called = (...args: (number | bigint)[]) => unknown;

interface CallbackParts {
  readonly core: CoreExports;
  readonly host: CallbackHost;
  readonly statistics: StatsSource;
  readonly table: FunctionTable | undefined;
  readonly errno: ErrnoAbi;
}

/** Bytes of a mi_heap_area_t: six words. */
const AREA_BYTES = 24;

export function callbacksAbi(parts: CallbackParts): Record<string, AbiFunction> {
  const { core, host, statistics, table, errno } = parts;
  const functionAt = (call: string, index: number) => functionOf(table, call, index >>> 0);
  const writing = (call: string, index: number, arg: number) => {
    const out = functionAt(call, index);
    return (text: string) => textGive(parts, text, (at) => out(at, arg));
  };
  const print =
    (call: string) =>
    (out = 0, arg = 0) => {
      const write = out === 0 ? outputWrite : writing(call, out, arg);
      write(statistics.statsText());
    };
  return {
    mi_stats_print_out: print("mi_stats_print_out"),
    mi_thread_stats_print_out: print("mi_thread_stats_print_out"),
    mi_register_output: (out = 0, arg = 0) =>
      registerOutput(out === 0 ? undefined : writing("mi_register_output", out, arg)),
    mi_register_error: (index = 0, arg = 0) => {
      const call = index === 0 ? undefined : functionAt("mi_register_error", index);
      host.handler = call && ((code) => void call(errnoOf(errno, code), arg));
    },
    mi_register_deferred_free: (index = 0, arg = 0) => {
      const call = index === 0 ? undefined : functionAt("mi_register_deferred_free", index);
      host.deferred = call && ((force, beat) => void call(Number(force), BigInt(beat), arg));
      core.deferredFree(call !== undefined);
    },
    mi_heap_visit_blocks: (heap = 0, all = 0, index = 0, arg = 0) => {
      if (index === 0 || !heapIds(core, host).has(heap >>> 0)) return 0;
      const visitor = functionAt("mi_heap_visit_blocks", index);
      return Number(blocksShow(parts, heap >>> 0, all !== 0, (...of) => !!visitor(...of, arg)));
    },
  };
}

function functionOf(table: FunctionTable | undefined, call: string, index: number): Called {
  const given: unknown = typeof table === "function" ? table() : table;
  if (tagOf(given) !== "WebAssembly.Table") {
    throw new TypeError(
      `${call} takes a function of the program, an index into its table: link the module with ` +
        "--export-table and give createAbi " +
        "{ table: () => instance.exports.__indirect_function_table }",
    );
  }
  const found = given as WebAssembly.Table;
  const called: unknown = index < found.length ? found.get(index) : null;
  if (typeof called === "function") return called as Called;
  throw new RangeError(`${call}: the table of ${found.length} entries has no function ${index}`);
}

/** Calls a function with the address of a text, NUL-terminated, which is freed afterwards. */
function textGive({ core, host }: CallbackParts, text: string, give: (at: number) => void): void {
  const bytes = new TextEncoder().encode(`${text}\0`);
  const at = core.malloc(bytes.length) >>> 0;
  if (at === 0) return;
  host.bytes().set(bytes, at);
  try {
    give(at);
  } finally {
    core.free(at);
  }
}

type Show = (heap: number, area: number, block: number, size: number) => boolean;

/** The visitor gets the area in a block of another heap, so that it does not visit that. */
function blocksShow(parts: CallbackParts, heap: number, all: boolean, show: Show): boolean {
  const { core, host, statistics } = parts;
  const beside = core.heapNew() >>> 0;
  if (beside === 0) return false;
  const was = core.heapBind(beside);
  const at = core.malloc(AREA_BYTES) >>> 0;
  core.heapBind(was);
  const areas = (area: HeapArea) => {
    areaWrite(host.bytes(), at, area);
    return show(heap, at, 0, area.blockSize);
  };
  const blocks = all ? (ptr: number, size: number) => show(heap, at, ptr, size) : undefined;
  try {
    return at !== 0 && statistics.visit(heap, areas, blocks);
  } finally {
    core.heapDestroy(beside);
  }
}

function areaWrite(bytes: Uint8Array, at: number, area: HeapArea): void {
  const { start, reserved, committed, used, blockSize, fullBlockSize } = area;
  const words = new DataView(bytes.buffer);
  for (const [i, value] of [start, reserved, committed, used, blockSize, fullBlockSize].entries()) {
    words.setUint32(at + 4 * i, value, true);
  }
}
