/** What `terrane run` does: runs a program with the functions of its allocator replaced. */
import { closeSync, openSync, writeSync } from "node:fs";
import type { Command } from "commander";
import { PAGE_BYTES, PAGES_MOST } from "../common/constants.ts";
import { createHeap } from "../heap/create.ts";
import { createAbi } from "../heap/create-abi.ts";
import type { Heap } from "../heap/heap.ts";
import { javascript } from "../heap/javascript.ts";
import { findAllocator } from "../wasm/allocators/finder.ts";
import type { AllocatorFunction } from "../wasm/allocators/roles.ts";
import { unsupported } from "../wasm/module/errors.ts";
import type { Limits, Module } from "../wasm/module/module.ts";
import { readModule } from "../wasm/module/reader.ts";
import { CallLog } from "../wasm/run/call-log.ts";
import { rebind } from "../wasm/run/rebind.ts";
import { HOST_MODULE } from "../wasm/shadow/allocator-hooks.ts";
import { EXIT_TRAP } from "./exit-codes.ts";
import { type AllocatorFlags, orUsageError, type WasiFlags } from "./options.ts";
import { fileRead, requireValid, requireWasiCommand, withFileName } from "./program.ts";
import { wasiCreate, wasiImports } from "./wasi.ts";

/** The options of the command. */
export interface RunFlags extends WasiFlags, AllocatorFlags {
  readonly allocator: "terrane" | "terrane-js" | "own";
  readonly stats?: true;
  readonly trace?: string;
  readonly maxMemory?: number;
}

const TRACE_CHUNK = 1 << 16;

/** Runs a program on another allocator; returns the exit code. */
export function runProgram(
  path: string,
  args: readonly string[],
  flags: RunFlags,
  command: Command,
): Promise<number> {
  return orUsageError(command, () => new ProgramRun(path, args, flags)).run();
}

class ProgramRun {
  readonly #path: string;
  readonly #args: readonly string[];
  readonly #flags: RunFlags;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #memory: WebAssembly.Memory;
  readonly #heap: Heap | undefined;
  readonly #log: CallLog | undefined;
  #trace: TraceFile | undefined;

  /** Reports what is wrong with the file and the flags before the program starts. */
  constructor(path: string, args: readonly string[], flags: RunFlags) {
    this.#path = path;
    this.#args = args;
    this.#flags = flags;
    const module = programRead(path);
    const functions = this.#functions(module);
    const limits = this.#limits(module);
    const heap = flags.allocator !== "own" && functions.length > 0;
    const log = (flags.stats ?? false) || flags.trace !== undefined;
    this.#bytes = rebind(module, functions, { heap, log, limits });
    this.#memory = memoryCreate(limits);
    if (heap) this.#heap = this.#heapCreate(limits);
    if (flags.trace !== undefined) this.#trace = new TraceFile(flags.trace);
    if (log) this.#log = this.#logCreate();
  }

  #functions(module: Module): AllocatorFunction[] {
    const { functions: given, guess } = { functions: this.#flags.function, ...this.#flags };
    const found = withFileName(this.#path, () => findAllocator(module, { functions: given }));
    const own = found.filter(({ source, role }) => {
      return source !== "import" && role.family !== "assemblyscript";
    });
    const certain = own.every((each) => each.sure === "certain");
    if (own.length > 0 && (certain || guess)) return own;
    const why = own.length > 0 ? "it only looks like one (--guess accepts it)" : "none was found";
    process.stderr.write(`terrane: ${this.#path} keeps its own allocator: ${why}\n`);
    return [];
  }

  /** The limits of the program's memory, reduced by --max-memory. */
  #limits(module: Module): Limits {
    const { limits } = module.memories[0] as { limits: Limits };
    const { maxMemory } = this.#flags;
    if (maxMemory === undefined) return limits;
    const max = Math.min(limits.max ?? PAGES_MOST, Math.floor(maxMemory / PAGE_BYTES));
    if (max >= limits.min) return { ...limits, max };
    const bytes = limits.min * PAGE_BYTES;
    throw new RangeError(
      `${this.#path}: starts with ${bytes} bytes, more than --max-memory ${maxMemory}`,
    );
  }

  #heapCreate(limits: Limits): Heap {
    const backend = this.#flags.allocator === "terrane-js" ? javascript : undefined;
    const maximum = limits.max === undefined ? {} : { maximum: limits.max * PAGE_BYTES };
    return withFileName(this.#path, () =>
      createHeap({ memory: this.#memory, backend, ...maximum }),
    );
  }

  #logCreate(): CallLog {
    return new CallLog(
      (line) => this.#trace?.line(line),
      (address) => new DataView(this.#memory.buffer).getUint32(address, true),
    );
  }

  async run(): Promise<number> {
    const wasi = await wasiCreate({ ...this.#flags, program: this.#path, args: this.#args });
    const abi = this.#heap && createAbi(this.#heap);
    const host = { ...abi, memory: this.#memory, log: this.#log?.log };
    const imports = {
      ...wasiImports(wasi.wasiImport as WebAssembly.ModuleImports),
      [HOST_MODULE]: host as unknown as WebAssembly.ModuleImports,
    };
    const instance = await WebAssembly.instantiate(await WebAssembly.compile(this.#bytes), imports);
    try {
      return wasi.start(instance) as unknown as number;
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      process.stderr.write(`terrane: ${this.#path}: trap: ${error.message}\n`);
      return EXIT_TRAP;
    } finally {
      this.#trace?.close();
      if (this.#flags.stats) process.stderr.write(this.#statsText());
    }
  }

  #statsText(): string {
    const stats = this.#log?.stats;
    const rows: [string, number | undefined][] = [
      ["allocations", stats?.allocations],
      ["frees", stats?.frees],
      ["peak live bytes", stats?.peakBytes],
      ["live blocks at end", stats?.liveBlocks],
      ["live bytes at end", stats?.liveBytes],
      ["memory bytes at end", this.#memory.buffer.byteLength],
    ];
    const lines = rows.map(([name, value]) => `  ${name.padEnd(20)}${value}\n`);
    return `terrane run (${this.#heap ? this.#flags.allocator : "own"}):\n${lines.join("")}`;
  }
}

function programRead(path: string): Module {
  const bytes = fileRead(path);
  return withFileName(path, () => {
    const module = readModule(bytes);
    requireValid(path, bytes);
    requireWasiCommand(path, module);
    const [memory] = module.memories;
    if (memory?.imported || memory?.limits.is64 || memory?.limits.shared) {
      throw unsupported(0, "running a module whose memory is imported, shared or of 64 bits");
    }
    return module;
  });
}

function memoryCreate({ min, max }: Limits): WebAssembly.Memory {
  return new WebAssembly.Memory(
    max === undefined ? { initial: min } : { initial: min, maximum: max },
  );
}

/** Writes lines to a file, in chunks. */
class TraceFile {
  readonly #file: number;
  #waiting = "";

  constructor(path: string) {
    try {
      this.#file = openSync(path, "w");
    } catch (error) {
      throw new Error(`${path}: cannot be written: ${(error as Error).message}`);
    }
  }

  line(text: string): void {
    this.#waiting += `${text}\n`;
    if (this.#waiting.length > TRACE_CHUNK) this.#flush();
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
  }

  #flush(): void {
    writeSync(this.#file, this.#waiting);
    this.#waiting = "";
  }
}
