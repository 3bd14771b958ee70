/** `terrane run`: runs a program on our heap. */
import { closeSync, openSync, writeSync } from "node:fs";
import type { Command } from "commander";
import { Option } from "commander";
import { PAGE_BYTES } from "../common/constants.ts";
import { createHeap } from "../heap/create.ts";
import { createAbi } from "../heap/create-abi.ts";
import type { Heap } from "../heap/heap.ts";
import { javascript } from "../heap/javascript.ts";
import { findAllocator } from "../wasm/allocators/finder.ts";
import type { AllocatorFunction } from "../wasm/allocators/roles.ts";
import { ModuleError, unsupported } from "../wasm/module/errors.ts";
import type { Limits, Module } from "../wasm/module/module.ts";
import { readModule } from "../wasm/module/reader.ts";
import { CallLog } from "../wasm/run/call-log.ts";
import { rebind } from "../wasm/run/rebind.ts";
import { HOST_MODULE } from "../wasm/shadow/allocator-hooks.ts";
import { bytesParse, PAGES_MOST } from "./bytes.ts";
import {
  EXIT_TRAP,
  engineCheck,
  type FunctionFlags,
  fileRead,
  functionCollect,
  requireWasiCommand,
  type WasiFlags,
  wasiCreate,
  wasiImports,
  wasiOptionsAdd,
} from "./wasi.ts";

type AllocatorName = "terrane" | "terrane-js" | "own";

interface RunFlags extends WasiFlags {
  readonly allocator: AllocatorName;
  readonly function?: FunctionFlags;
  readonly guess?: true;
  readonly stats?: true;
  readonly trace?: string;
  readonly maxMemory?: number;
}

const TRACE_CHUNK = 1 << 16;

const HELP = `
Examples:
  $ terrane run program.wasm input.txt --verbose
  $ terrane run --stats --max-memory 64M program.wasm
  $ terrane run --allocator own --trace program.trace program.wasm
  $ terrane replay program.trace

The program's malloc, free and their kin are replaced by ours while it is loaded; its file stays as
it is. What it had at its start remains its own; our heap grows the memory behind that. Options of
terrane stand before the program, all that follows is the program's.

Allocators: terrane, terrane-js (the heap as JavaScript), own (the program's).

Exit code: the program's own; ${EXIT_TRAP} it trapped, 2 wrong use or a file that cannot be run.`;

export function runCommandAdd(program: Command): void {
  const allocator = new Option("-a, --allocator <name>", "whose blocks the program gets")
    .choices(["terrane", "terrane-js", "own"])
    .default("terrane");
  wasiOptionsAdd(program.command("run"))
    .summary("run a finished WebAssembly program on our heap")
    .description("Run a WASI program with its allocator replaced, without building it anew.")
    .addOption(allocator)
    .option("--stats", "print what was allocated, at the end, on standard error")
    .option("--trace <file>", "write all calls of the allocator as a trace")
    .option("--max-memory <bytes>", "the most memory it may have; K, M and G work", bytesParse)
    .option("--function <role=which>", "an allocator function by index or name", functionCollect)
    .option("--guess", "take functions for the allocator because they look like one")
    .addHelpText("after", HELP)
    .action(runAction);
}

async function runAction(
  path: string,
  args: string[],
  flags: RunFlags,
  command: Command,
): Promise<void> {
  const ready = (() => {
    try {
      return new ProgramRun(path, args, flags);
    } catch (error) {
      return command.error(`error: ${(error as Error).message}`);
    }
  })();
  process.exitCode = await ready.run();
}

class ProgramRun {
  readonly #path: string;
  readonly #args: readonly string[];
  readonly #flags: RunFlags;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #memory: WebAssembly.Memory;
  readonly #heap: Heap | undefined;
  readonly #books: CallLog | undefined;
  #trace: TraceFile | undefined;

  /** All that can be wrong with file and flags is found before the program starts. */
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
    if (log) this.#books = this.#booksCreate();
  }

  #functions(module: Module): AllocatorFunction[] {
    const { functions: given, guess } = { functions: this.#flags.function, ...this.#flags };
    const found = nameErrors(this.#path, () => findAllocator(module, { functions: given }));
    const own = found.filter(({ source, role }) => {
      return source !== "import" && role.family !== "assemblyscript";
    });
    const certain = own.every((each) => each.sure === "certain");
    if (own.length > 0 && (certain || guess)) return own;
    const why = own.length > 0 ? "it only looks like one (--guess takes it)" : "none was found";
    process.stderr.write(`terrane: ${this.#path} keeps its own allocator: ${why}\n`);
    return [];
  }

  /** The memory's limits as the program declares them, cut by --max-memory. */
  #limits(module: Module): Limits {
    const { limits } = module.memories[0] as { limits: Limits };
    const { maxMemory } = this.#flags;
    if (maxMemory === undefined) return limits;
    const max = Math.min(limits.max ?? PAGES_MOST, Math.floor(maxMemory / PAGE_BYTES));
    if (max >= limits.min) return { ...limits, max };
    throw new RangeError(
      `${this.#path}: starts with ${limits.min * PAGE_BYTES} bytes, ` +
        `more than --max-memory ${maxMemory}`,
    );
  }

  #heapCreate(limits: Limits): Heap {
    const backend = this.#flags.allocator === "terrane-js" ? javascript : undefined;
    const maximum = limits.max === undefined ? {} : { maximum: limits.max * PAGE_BYTES };
    return nameErrors(this.#path, () => createHeap({ memory: this.#memory, backend, ...maximum }));
  }

  #booksCreate(): CallLog {
    return new CallLog(
      (line) => this.#trace?.line(line),
      (address) => new DataView(this.#memory.buffer).getUint32(address, true),
    );
  }

  async run(): Promise<number> {
    const wasi = await wasiCreate({ ...this.#flags, program: this.#path, args: this.#args });
    const host = {
      ...(this.#heap && createAbi(this.#heap)),
      memory: this.#memory,
      log: this.#books?.log,
    };
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
    const stats = this.#books?.stats;
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
  return nameErrors(path, () => {
    const module = readModule(bytes);
    engineCheck(path, bytes);
    requireWasiCommand(path, module);
    const [memory] = module.memories;
    if (memory?.imported || memory?.limits.is64 || memory?.limits.shared) {
      throw unsupported(0, "running a module whose memory is imported, shared or of 64 bits");
    }
    return module;
  });
}

/** Errors about a module, with the name of its file. */
function nameErrors<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof ModuleError || error instanceof RangeError)) throw error;
    throw new Error(`${path}: ${error.message}`);
  }
}

function memoryCreate({ min, max }: Limits): WebAssembly.Memory {
  return new WebAssembly.Memory(
    max === undefined ? { initial: min } : { initial: min, maximum: max },
  );
}

/** Writes lines to a file, many at a time. */
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
