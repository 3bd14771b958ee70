/**
 * The other end of AssemblyScript's runtime trace: what a module built with `--use ASC_RTRACE=1`
 * imports. Names and meanings are those of @assemblyscript/rtrace, so that a change of one import
 * is enough.
 */

/** Bytes of the header before a block's payload; a block's pointer is that of its header. */
export const BLOCK_OVERHEAD = 4;
/** Bytes between the payload of a block and the object in it. */
export const OBJECT_OVERHEAD = 16;
export const TOTAL_OVERHEAD = BLOCK_OVERHEAD + OBJECT_OVERHEAD;

/** The header's low bits are the allocator's. */
const TAGS = 3;

export interface RtraceBlock {
  /** Address of the header: 4 before the payload, 20 before an object. */
  readonly ptr: number;
  /** Bytes with the header. */
  readonly size: number;
  /** The runtime's id of the object's class, when the block holds an object. */
  readonly rtId: number;
  /** Bytes of the object. */
  readonly rtSize: number;
  /** Frames of the allocation, innermost first. */
  readonly allocStack: readonly string[];
}

export interface RtraceOptions {
  /** The module's memory: asked for at the first event, when the instance may not be known yet. */
  readonly getMemory: () => WebAssembly.Memory;
  /** Told of each mistake. */
  readonly onerror?: ((error: Error, block: RtraceBlock | undefined) => void) | undefined;
  /** Told of each event, as text. */
  readonly oninfo?: ((text: string) => void) | undefined;
}

/**
 * Follows every block of an AssemblyScript module: what is freed twice, resized, moved or visited
 * though it is no block, and what is left.
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
  allocCount = 0;
  resizeCount = 0;
  moveCount = 0;
  freeCount = 0;
  collectCount = 0;
  /** First byte of the heap, as the module says; beyond all memory before it does. */
  heapBase = 2 ** 32;

  constructor(options: RtraceOptions) {
    if (typeof options?.getMemory !== "function") {
      throw new TypeError("getMemory must be a function that answers the module's memory");
    }
    this.#options = options;
  }

  /** Whether anything has happened: a module without the trace never calls. */
  get active(): boolean {
    const { allocCount, resizeCount, moveCount, freeCount } = this;
    return allocCount + resizeCount + moveCount + freeCount > 0;
  }

  /** Blocks that are alive, in the order of their allocation. */
  get blocks(): readonly RtraceBlock[] {
    return [...this.#blocks.values()];
  }

  /** Adds the module `rtrace` to an import object, which is answered. */
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
      // For modules whose accesses have been instrumented too: nothing is followed there.
      onstore: (ptr: number) => ptr,
      onload: (ptr: number) => ptr,
    };
    imports.rtrace = { ...imports.rtrace, ...functions };
    return imports;
  }

  /** Tells `oninfo` of every block that is alive; answers how many there are. */
  check(): number {
    for (const { ptr, allocStack } of this.#blocks.values()) {
      this.#info(`LIVE ${ptr}\n${allocStack.join("\n")}`);
    }
    return this.#blocks.size;
  }

  /** What the headers at an address say. */
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

  /** Blocks in the program's data have never been allocated. */
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

  /** Whether the collector may look at it. */
  #visit(ptr: number): number {
    if (ptr < this.heapBase || this.#blocks.has(ptr)) return 1;
    this.#error(`orphaned visit: ${ptr}`, undefined);
    return 0;
  }

  /** The block of an event; undefined, and told, when there is none. */
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

/** The frames of the module: those of the trace itself come first and say nothing. */
function stackTake(): string[] {
  const lines = new Error().stack?.split("\n") ?? [];
  const first = lines.findIndex((line) => line.includes("wasm"));
  return first < 0 ? [] : lines.slice(first);
}
