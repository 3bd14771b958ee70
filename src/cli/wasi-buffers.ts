/**
 * System calls access memory for the program without checks. These wrappers check what a call
 * reads and writes before it: reading into a buffer that is too short is the program's mistake.
 * What the call has written is defined afterwards, whatever bytes it is.
 */
import type { Checker } from "../wasm/check/checker.ts";

/** Parameters of one call that are memory, by their positions. */
interface Memory {
  /** Pairs: an address, and behind it a length. */
  readonly reads?: readonly number[];
  /** The same for a buffer of which the call writes the beginning. */
  readonly writes?: number;
  /** A list of buffers, and behind it their number. */
  readonly listReads?: number;
  readonly listWrites?: number;
  /** Results: pairs of a position and a number of bytes. */
  readonly results?: readonly (readonly [at: number, bytes: number])[];
  /** The result that says how many bytes of the buffers were written; without it all of them. */
  readonly written?: number;
}

/** A word. */
const W = 4;
const FDSTAT = 24;
const FILESTAT = 64;
const SUBSCRIPTION = 48;
const EVENT = 32;

/** All calls of WASI preview 1 that access memory. */
const calls: Readonly<Record<string, Memory>> = {
  args_sizes_get: { results: pairs(0, W, 1, W) },
  environ_sizes_get: { results: pairs(0, W, 1, W) },
  clock_res_get: { results: pairs(1, 8) },
  clock_time_get: { results: pairs(2, 8) },
  fd_fdstat_get: { results: pairs(1, FDSTAT) },
  fd_filestat_get: { results: pairs(1, FILESTAT) },
  fd_pread: { listWrites: 1, results: pairs(4, W), written: 4 },
  fd_prestat_get: { results: pairs(1, 8) },
  fd_prestat_dir_name: { writes: 1 },
  fd_pwrite: { listReads: 1, results: pairs(4, W) },
  fd_read: { listWrites: 1, results: pairs(3, W), written: 3 },
  fd_readdir: { writes: 1, results: pairs(4, W), written: 4 },
  fd_seek: { results: pairs(3, 8) },
  fd_tell: { results: pairs(1, 8) },
  fd_write: { listReads: 1, results: pairs(3, W) },
  path_create_directory: { reads: [1] },
  path_filestat_get: { reads: [2], results: pairs(4, FILESTAT) },
  path_filestat_set_times: { reads: [2] },
  path_link: { reads: [2, 5] },
  path_open: { reads: [2], results: pairs(8, W) },
  path_readlink: { reads: [1], writes: 3, results: pairs(5, W), written: 5 },
  path_remove_directory: { reads: [1] },
  path_rename: { reads: [1, 4] },
  path_symlink: { reads: [0, 3] },
  path_unlink_file: { reads: [1] },
  random_get: { writes: 0 },
  sock_accept: { results: pairs(2, W) },
  sock_recv: { listWrites: 1, results: pairs(4, W, 5, 2), written: 4 },
  sock_send: { listReads: 1, results: pairs(4, W) },
};

function pairs(...numbers: readonly number[]): (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  for (let i = 0; i < numbers.length; i += 2) {
    found.push([numbers[i] as number, numbers[i + 1] as number]);
  }
  return found;
}

type Call = (...args: number[]) => number;

/** WASI's functions, which check the memory that they access. */
export function buffersChecked(
  functions: WebAssembly.ModuleImports,
  checker: Checker,
): WebAssembly.ModuleImports {
  const checked = { ...functions };
  const wrap = (name: string, wrapper: (call: Call, args: number[]) => number) => {
    const call = functions[name] as Call | undefined;
    if (call) checked[name] = (...args: number[]) => wrapper(call, args);
  };
  for (const [name, memory] of Object.entries(calls)) {
    wrap(name, (call, args) => new Accesses(checker, memory, args).call(call));
  }
  wrap("poll_oneoff", (call, args) => pollCall(checker, call, args));
  for (const name of ["args", "environ"]) {
    const sizes = functions[`${name}_sizes_get`] as Call | undefined;
    wrap(`${name}_get`, (call, args) => stringsCall(checker, call, args, sizes));
  }
  return checked;
}

/** A range of memory. */
interface Range {
  readonly address: number;
  readonly length: number;
}

/** What one call accesses. */
class Accesses {
  readonly #checker: Checker;
  readonly #memory: Memory;
  readonly #args: readonly number[];

  constructor(checker: Checker, memory: Memory, args: readonly number[]) {
    this.#checker = checker;
    this.#memory = memory;
    this.#args = args;
  }

  /** Checks, calls, and marks what was written if the call has succeeded. */
  call(call: Call): number {
    const { reads = [], listReads, listWrites, writes, results = [] } = this.#memory;
    for (const at of reads) this.#checkRead(this.#range(at));
    if (listReads !== undefined) for (const each of this.#list(listReads)) this.#checkRead(each);
    const targets = [
      ...(writes === undefined ? [] : [this.#range(writes)]),
      ...(listWrites === undefined ? [] : this.#list(listWrites)),
    ];
    const own = results.map(([at, length]) => ({ address: this.#word(at), length }));
    for (const { address, length } of [...targets, ...own]) {
      this.#checker.checkTarget(address, length);
    }
    const result = call(...this.#args);
    if (result === 0) this.#mark(targets, own);
    return result;
  }

  /** Only the beginning of the buffers is written. */
  #mark(targets: readonly Range[], own: readonly Range[]): void {
    for (const { address, length } of own) this.#checker.written(address, length);
    const { written } = this.#memory;
    let rest = written === undefined ? Infinity : this.#load(this.#word(written));
    for (const { address, length } of targets) {
      this.#checker.written(address, Math.min(rest, length));
      rest = Math.max(0, rest - length);
    }
  }

  #word(at: number): number {
    return (this.#args[at] as number) >>> 0;
  }

  #range(at: number): Range {
    return { address: this.#word(at), length: this.#word(at + 1) };
  }

  #checkRead({ address, length }: Range): void {
    this.#checker.checkRange(address, length, false);
  }

  /** The buffers of a list, which is itself read. A list outside of memory has none. */
  #list(at: number): Range[] {
    const { address, length: count } = this.#range(at);
    this.#checker.checkRange(address, count * 8, false);
    if (address + count * 8 > this.#checker.memory.buffer.byteLength) return [];
    return Array.from({ length: count }, (_, i) => ({
      address: this.#load(address + i * 8),
      length: this.#load(address + i * 8 + 4),
    }));
  }

  #load(address: number): number {
    return wordLoad(this.#checker, address);
  }
}

/** A word of the program's memory; 0 outside. */
function wordLoad(checker: Checker, address: number): number {
  const { buffer } = checker.memory;
  return address + 4 > buffer.byteLength ? 0 : new DataView(buffer).getUint32(address, true);
}

/** poll_oneoff(subscriptions, events, count, number of events). */
function pollCall(checker: Checker, call: Call, args: readonly number[]): number {
  const [from, to, count, number] = args.map((value) => value >>> 0) as [
    number,
    number,
    number,
    number,
  ];
  checker.checkRange(from, count * SUBSCRIPTION, false);
  checker.checkTarget(to, count * EVENT);
  checker.checkTarget(number, W);
  const result = call(...args);
  if (result !== 0) return result;
  checker.written(number, W);
  checker.written(to, Math.min(count, wordLoad(checker, number)) * EVENT);
  return result;
}

/** args_get and environ_get (pointers, texts): the other call says how much they write. */
function stringsCall(
  checker: Checker,
  call: Call,
  args: readonly number[],
  sizes: Call | undefined,
): number {
  const result = call(...args);
  if (result !== 0 || sizes === undefined) return result;
  const [pointers, texts] = args.map((value) => value >>> 0) as [number, number];
  const { count, bytes } = stringSizes(checker, sizes, pointers);
  checker.written(pointers, count * W);
  checker.written(texts, bytes);
  return result;
}

/** Calls args_sizes_get with memory that the program has, and restores it. */
function stringSizes(checker: Checker, sizes: Call, scratch: number) {
  const view = new Uint8Array(checker.memory.buffer);
  if (scratch + 2 * W > view.length) return { count: 0, bytes: 0 };
  const before = view.slice(scratch, scratch + 2 * W);
  sizes(scratch, scratch + W);
  const count = wordLoad(checker, scratch);
  const bytes = wordLoad(checker, scratch + W);
  view.set(before, scratch);
  return { count, bytes };
}
