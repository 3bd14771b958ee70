/**
 * The host's part of AssemblyScript's runtime trace: the imports of a module that was built with
 * `--use ASC_RTRACE=1`. Names and meanings are those of @assemblyscript/rtrace.
 */

/** Bytes of the header before a block's payload; a block's pointer is that of its header. */
export const BLOCK_OVERHEAD = 4;
/** Bytes between the payload of a block and the object in it. */
export const OBJECT_OVERHEAD = 16;
/** Bytes between the header of a block and the object in it. */
export const TOTAL_OVERHEAD = BLOCK_OVERHEAD + OBJECT_OVERHEAD;

/** The low bits of a header belong to the allocator. */
const TAGS = 3;

/** A block of an AssemblyScript module. */
export interface RtraceBlock {
  /** Address of the header: 4 before the payload, 20 before an object. */
  readonly ptr: number;
  /** Bytes, with the header. */
  readonly size: number;
  /** The runtime's id of the object's class, if the block holds an object. */
  readonly rtId: number;
  /** Bytes of the object. */
  readonly rtSize: number;
  /** Frames of the allocation, innermost first. */
  readonly allocStack: readonly string[];
}

/** Options of `Rtrace`. */
export interface RtraceOptions {
  /** Returns the module's memory. Called at the first event, not before. */
  readonly getMemory: () => WebAssembly.Memory;
  /** Called for each mistake, with the block if there is one. */
  readonly onerror?: ((error: Error, block: RtraceBlock | undefined) => void) | undefined;
  /** Called for each event, with a text. */
  readonly oninfo?: ((text: string) => void) | undefined;
}

/**
 * Follows every block of an AssemblyScript module. Finds pointers that are freed, resized, moved or
 * visited and are not blocks, and blocks that are left at the end.
 *
 * @example
 * const trace = new Rtrace({ getMemory: () => instance.exports.memory, onerror: console.error });
 * const { instance } = await WebAssembly.instantiate(bytes, trace.install({ env }));
 * instance.exports.run();
 * instance.exports.__collect();
 * console.log(trace.check()); // blocks that are left
 */
export class Rtrace {
  readonly #options: RtraceOptions;
  readonly #blocks = new Map<number, RtraceBlock>();
  /** Freed addresses, with the stack of the free. */
  readonly #freed = new Map<number, readonly string[]>();
  /** Allocations so far. */
  allocCount = 0;
  /** Blocks resized in place so far. */
  resizeCount = 0;
  /** Blocks moved so far. */
  moveCount = 0;
  /** Blocks freed so far. */
  freeCount = 0;
  /** Collections so far. */
  collectCount = 0;
  /** First byte of the heap; 2^32 before the module has told it. */
  heapBase = 2 ** 32;

  /** @throws TypeError if `getMemory` is not a function. */
  constructor(options: RtraceOptions) {
    if (typeof options?.getMemory !== "function") {
      throw new TypeError("getMemory must be a function that returns the module's memory");
    }
    this.#options = options;
  }

  /** Whether there was any event: there is none if the module was built without the trace. */
  get active(): boolean {
    const { allocCount, resizeCount, moveCount, freeCount } = this;
    return allocCount + resizeCount + moveCount + freeCount > 0;
  }

  /** Live blocks, in the order of their allocation. */
  get blocks(): readonly RtraceBlock[] {
    return [...this.#blocks.values()];
  }

  /**
   * Adds the module `rtrace` to an import object.
   *
   * @returns the same object.
   */
  install(imports: WebAssembly.Imports = {}): WebAssembly.Imports {
    const functions: WebAssembly.ModuleImports = {
      oninit: (base: number) => this.#init(base >>> 0),
      onalloc: (ptr: number) => this.#alloc(ptr >>> 0),
      onresize: (ptr: number, old: number) => this.#resize(ptr >>> 0, old >>> 0),
      onmove: (from: number, to: number) => this.#move(from >>> 0, to >>> 0),
      onfree: (ptr: number) => this.#free(ptr >>> 0),
      onvisit: (ptr: number) => this.#visit(ptr >>> 0),
      oncollect: (total: number) => {
        this.collectCount++;
        this.#info(`COLLECT at ${total >>> 0}`);
      },
      oninterrupt: (total: number) => this.#info(`INTERRUPT at ${total >>> 0}`),
      onyield: (total: number) => this.#info(`YIELD at ${total >>> 0}`),
      // For modules with instrumented accesses, which are not followed.
      onstore: (ptr: number) => ptr,
      onload: (ptr: number) => ptr,
    };
    imports.rtrace = { ...imports.rtrace, ...functions };
    return imports;
  }

  /** Calls `oninfo` for every live block; returns how many there are. */
  check(): number {
    for (const { ptr, allocStack } of this.#blocks.values()) {
      this.#info(`LIVE ${ptr}\n${allocStack.join("\n")}`);
    }
    return this.#blocks.size;
  }

  /** A block by its headers, which are at the address `ptr`. Its stack is empty. */
  getBlockInfo(ptr: number): RtraceBlock {
    return this.#block(ptr, []);
  }

  #block(ptr: number, allocStack: readonly string[]): RtraceBlock {
    const view = new DataView(this.#options.getMemory().buffer);
    const word = (at: number) => (at + 4 <= view.byteLength ? view.getUint32(at, true) : 0);
    return {
      ptr,
      size: BLOCK_OVERHEAD + ((word(ptr) & ~TAGS) >>> 0),
      rtId: word(ptr + 12),
      rtSize: word(ptr + 16),
      allocStack,
    };
  }

  #init(base: number): void {
    this.heapBase = base;
    this.#info(`INIT heapBase=${base}`);
  }

  #alloc(ptr: number): void {
    this.allocCount++;
    this.#freed.delete(ptr);
    const known = this.#blocks.get(ptr);
    if (known) this.#error(`duplicate alloc: ${ptr}`, known);
    const block = this.#block(ptr, stackTake());
    this.#info(`ALLOC ${rangeText(block)}`);
    this.#blocks.set(ptr, block);
  }

  #resize(ptr: number, oldSize: number): void {
    this.resizeCount++;
    const block = this.#known("resize", ptr, oldSize);
    if (!block) return;
    const resized = this.#block(ptr, block.allocStack);
    this.#info(`RESIZE ${rangeText(resized)} (${oldSize}->${resized.size})`);
    this.#blocks.set(ptr, resized);
  }

  /** Objects in static data were never allocated. */
  #move(from: number, to: number): void {
    this.moveCount++;
    const old = this.#blocks.get(from);
    const moved = this.#blocks.get(to);
    if (!old && from >= this.heapBase) this.#error(`orphaned move (old): ${from}`, undefined);
    else if (!moved) this.#error(`orphaned move (new): ${to}`, undefined);
    else this.#info(`MOVE ${from} -> ${rangeText(moved)}`);
  }

  #free(ptr: number): void {
    this.freeCount++;
    const block = this.#known("free", ptr, undefined);
    if (!block) return;
    this.#info(`FREE ${rangeText(block)}`);
    this.#blocks.delete(ptr);
    this.#freed.set(ptr, stackTake());
  }

  /** Returns whether the collector may visit the block. */
  #visit(ptr: number): number {
    if (ptr < this.heapBase || this.#blocks.has(ptr)) return 1;
    this.#error(`orphaned visit: ${ptr}`, undefined);
    return 0;
  }

  /** The block of an event; undefined if there is none, which is reported. */
  #known(event: string, ptr: number, size: number | undefined): RtraceBlock | undefined {
    const block = this.#blocks.get(ptr);
    if (!block) {
      const freed = this.#freed.get(ptr);
      const where = freed ? `\nfreed before:\n${freed.join("\n")}` : "";
      this.#error(`orphaned ${event}: ${ptr}${where}`, undefined);
      return undefined;
    }
    const now = size ?? this.#block(ptr, []).size;
    if (now !== block.size) {
      this.#error(`size mismatch upon ${event}: ${ptr} (${block.size} != ${now})`, block);
    }
    return block;
  }

  #error(text: string, block: RtraceBlock | undefined): void {
    this.#options.onerror?.(new Error(text), block);
  }

  #info(text: string): void {
    this.#options.oninfo?.(text);
  }
}

function rangeText({ ptr, size }: RtraceBlock): string {
  return `${ptr}..${ptr + size}`;
}

/** The frames of the module, without those of the trace before them. */
function stackTake(): string[] {
  const lines = new Error().stack?.split("\n") ?? [];
  const first = lines.findIndex((line) => line.includes("wasm"));
  return first < 0 ? [] : lines.slice(first);
}
