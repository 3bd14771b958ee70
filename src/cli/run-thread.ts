/** The thread of `terrane run`: runs a program on another allocator, with a log of its calls. */
import type { WASI } from "node:wasi";
import { PAGE_BYTES, PAGES_MOST } from "../common/constants.ts";
import { createHeap } from "../heap/create.ts";
import { createAbi } from "../heap/create-abi.ts";
import type { Heap } from "../heap/heap.ts";
import { javascript } from "../heap/javascript.ts";
import { unsupported } from "../wasm/module/errors.ts";
import type { Limits, Module } from "../wasm/module/module.ts";
import { readModule } from "../wasm/module/reader.ts";
import { type Decision, decideAllocator } from "../wasm/override/decide.ts";
import { CallLog } from "../wasm/run/call-log.ts";
import { rebind } from "../wasm/run/rebind.ts";
import { HOST_MODULE } from "../wasm/shadow/allocator-hooks.ts";
import { type Ending, endingOf } from "./ending.ts";
import type { RunFlags, RunResult, ThreadMessage, ThreadOrder } from "./orders.ts";
import { STANDARD, STDERR, STDOUT, streamWrite } from "./output.ts";
import { fileRead, requireValid, requireWasiCommand, withFileName } from "./program.ts";
import { instanceCreate } from "./start.ts";
import { TraceFile } from "./trace-file.ts";
import { asUsage } from "./usage.ts";
import { wasiCreate, wasiImports } from "./wasi.ts";

type RunOrder = Extract<ThreadOrder, { command: "run" }>;

/** Runs a program on another allocator. */
export async function runRun(
  order: RunOrder,
  post: (message: ThreadMessage) => void,
): Promise<RunResult> {
  const run = asUsage(() => new ProgramRun(order));
  const { temporary } = run;
  if (temporary !== undefined) post({ kind: "temporary", path: temporary });
  return await run.run();
}

/** AssemblyScript's runtime keeps its allocator: its collector shares the headers of blocks. */
function canReplace({ verdict, functions }: Decision): boolean {
  return verdict === "replace" && functions.some(({ role }) => role.family !== "assemblyscript");
}

class ProgramRun {
  readonly #order: RunOrder;
  readonly #path: string;
  readonly #flags: RunFlags;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #memory: WebAssembly.Memory;
  readonly #heap: Heap | undefined;
  readonly #log: CallLog | undefined;
  #trace: TraceFile | undefined;

  /** Reports what is wrong with the file and the flags before the program starts. */
  constructor(order: RunOrder) {
    const { path, flags } = order;
    this.#order = order;
    this.#path = path;
    this.#flags = flags;
    const module = programRead(path);
    const decision = this.#decide(module);
    const limits = this.#limits(module);
    const heap = flags.allocator !== "own" && canReplace(decision);
    const log = (flags.stats ?? false) || flags.trace !== undefined;
    this.#bytes = rebind(module, decision, { heap, log, limits });
    this.#memory = memoryCreate(limits);
    if (heap) this.#heap = this.#heapCreate(limits);
    if (flags.trace !== undefined) this.#trace = new TraceFile(flags.trace);
    if (log) this.#log = this.#logCreate();
  }

  /** The file beside the trace's place, until the program has ended. */
  get temporary(): string | undefined {
    return this.#trace?.temporary;
  }

  /** A program whose allocator cannot be replaced keeps it; its calls are logged all the same. */
  #decide(module: Module): Decision {
    const { function: functions, trust, acceptLeftovers, allocator } = this.#flags;
    const options = { functions, trust, acceptLeftovers };
    const decision = withFileName(this.#path, () => decideAllocator(module, options));
    if (decision.verdict === "replace") return decision;
    if (allocator === "own") {
      // What has the names is logged, whether it is an allocator or not.
      return decision.functions.length > 0
        ? decision
        : decideAllocator(module, { ...options, trust: true });
    }
    streamWrite(STDERR, `terrane: ${this.#path} keeps its own allocator: ${decision.because}\n`);
    return decision;
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

  async run(): Promise<RunResult> {
    const { path, args, flags } = this.#order;
    // The trace has standard output for itself.
    const stdout = flags.trace === STANDARD ? STDERR : STDOUT;
    const wasi = await wasiCreate({ ...flags, program: path, args, stdout });
    const abi = this.#heap && createAbi(this.#heap);
    const host = { ...abi, memory: this.#memory, log: this.#log?.log };
    const imports = {
      ...wasiImports(wasi.wasiImport as WebAssembly.ModuleImports),
      [HOST_MODULE]: host as unknown as WebAssembly.ModuleImports,
    };
    const ending = await this.#start(wasi, imports);
    this.#trace?.commit();
    const stats = flags.stats ? this.#statsText() : undefined;
    return { ...ending, stats, unwritten: this.#trace?.unwritten };
  }

  async #start(wasi: WASI, imports: WebAssembly.Imports): Promise<Ending> {
    try {
      const instance = await instanceCreate(this.#order.path, this.#bytes, imports);
      return { code: wasi.start(instance) as unknown as number };
    } catch (error) {
      const ending = endingOf(error);
      if (ending === undefined) throw error;
      return ending;
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
