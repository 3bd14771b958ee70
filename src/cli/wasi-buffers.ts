/**
 * System calls access memory for the program without checks. These wrappers check the buffers
 * first: reading into a buffer that is too short is the program's mistake.
 */
import type { Checker } from "../wasm/check/checker.ts";

/**
 * The buffers of a call: parameter `at` and the next one are the address and length of one or a
 * list.
 */
interface Buffers {
  readonly at: number;
  readonly list: boolean;
  readonly write: boolean;
}

const reads = (at: number): Buffers => ({ at, list: false, write: false });
const writes = (at: number): Buffers => ({ at, list: false, write: true });
const listReads = (at: number): Buffers => ({ at, list: true, write: false });
const listWrites = (at: number): Buffers => ({ at, list: true, write: true });

const calls: Readonly<Record<string, Buffers>> = {
  fd_read: listWrites(1),
  fd_pread: listWrites(1),
  fd_write: listReads(1),
  fd_pwrite: listReads(1),
  fd_readdir: writes(1),
  random_get: writes(0),
  path_open: reads(2),
  path_create_directory: reads(1),
  path_unlink_file: reads(1),
  path_remove_directory: reads(1),
  path_filestat_get: reads(2),
  path_readlink: reads(1),
};

type Call = (...args: number[]) => number;

/** WASI's functions, which check their buffers. */
export function buffersChecked(
  functions: WebAssembly.ModuleImports,
  checker: Checker,
): WebAssembly.ModuleImports {
  const checked = { ...functions };
  for (const [name, buffers] of Object.entries(calls)) {
    const call = functions[name] as Call | undefined;
    if (call === undefined) continue;
    checked[name] = (...args: number[]) => {
      buffersCheck(checker, buffers, args);
      return call(...args);
    };
  }
  return checked;
}

function buffersCheck(checker: Checker, buffers: Buffers, args: readonly number[]): void {
  const { at, list, write } = buffers;
  const ptr = (args[at] as number) >>> 0;
  const count = (args[at + 1] as number) >>> 0;
  if (!list) {
    checker.checkRange(ptr, count, write);
    return;
  }
  checker.checkRange(ptr, count * 8, false);
  const view = new DataView(checker.memory.buffer);
  for (let i = 0; i < count; i++) {
    const [buffer, length] = [
      view.getUint32(ptr + i * 8, true),
      view.getUint32(ptr + i * 8 + 4, true),
    ];
    checker.checkRange(buffer, length, write);
  }
}
