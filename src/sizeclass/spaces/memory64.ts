/** A WebAssembly.Memory with 64-bit addresses as an address space. */
import { wrongKind } from "../../common/errors.ts";
import { type OptionRow, optionsCheck } from "../../common/option-table.ts";
import { type OsPages, osPages } from "../../memory/index.ts";
import { WINDOW, WindowSpace } from "./windows.ts";

/** The part of such a memory that lib.dom does not declare yet. */
interface Memory64 {
  readonly buffer: ArrayBuffer;
  grow(pages: bigint): bigint;
}

const SLICE = 65536;
const rows: OptionRow[] = [
  {
    ...{ name: "maximum", type: "", default: "", text: "" },
    refuse: (value) =>
      typeof value === "number" ? undefined : wrongKind("maximum", "a number", value),
  },
];

/** Options of memory64Space. */
export interface Memory64SpaceOptions {
  /**
   * Bytes that the memory may grow to: a multiple of 16 MiB, from 64 MiB to 16 GiB. Default: 16
   * GiB.
   */
  maximum?: number | undefined;
}

/**
 * An address space in a WebAssembly.Memory with 64-bit addresses, which a module that is compiled
 * so can import. Addresses are offsets in it. It grows as ranges are mapped, and nothing else may
 * grow it.
 */
export class Memory64Space extends WindowSpace {
  /** For error texts. */
  readonly kind = "memory64";
  /** The first 16 MiB stay unused, so that a write through a null pointer damages nothing. */
  readonly begin = WINDOW;
  /** Bytes from `begin` on that can be mapped. */
  readonly bytes: number;
  readonly #memory: Memory64;
  readonly #os: OsPages | undefined;

  /** Use memory64Space. */
  constructor(memory: Memory64, maximum: number) {
    super();
    this.#memory = memory;
    this.bytes = maximum - WINDOW;
    const os = osPages();
    this.#os = os.available ? os : undefined;
  }

  /** The memory for the imports of a wasm module. */
  get memory(): WebAssembly.Memory {
    return this.#memory as unknown as WebAssembly.Memory;
  }

  /** The buffer as it is now: read it again after any call that may allocate. */
  get buffer(): ArrayBuffer {
    return this.#memory.buffer;
  }

  /** Grows the memory over a range; false where it cannot grow so far. */
  map(address: number, bytes: number): boolean {
    const missing = Math.ceil((address + bytes) / WINDOW) * WINDOW - this.buffer.byteLength;
    if (missing <= 0) return true;
    try {
      this.#memory.grow(BigInt(missing / SLICE));
    } catch {
      return false;
    }
    this.windowsForget();
    return true;
  }

  /** The same as release: the memory does not shrink. */
  unmap(address: number, bytes: number): void {
    this.release(address, bytes);
  }

  /** Returns the physical memory of a range to the system; without OS pages it writes zeros. */
  release(address: number, bytes: number): void {
    const base = this.#os?.addressOf(this.buffer) ?? 0;
    if (base === 0 || !this.#os?.decommit(base + address, bytes)) this.fill(address, bytes, 0);
  }

  /** Bytes of a range that are in physical memory; all of them where that is not known. */
  resident(address: number, bytes: number): number {
    const base = this.#os?.addressOf(this.buffer) ?? 0;
    return base === 0 ? bytes : (this.#os as OsPages).resident(base + address, bytes);
  }

  protected windowAt(address: number): Uint32Array {
    return new Uint32Array(this.buffer, address, WINDOW / 4);
  }
}

/**
 * Creates a memory with 64-bit addresses as an address space. Its regions are small, so the default
 * map needs `freeArray: 4`.
 *
 * @throws RangeError where the engine does not support such memories (Node before 24), or refuses
 * the maximum.
 * @example
 * const heap = createSizeClassHeap({ space: memory64Space(), freeArray: 4 });
 */
export function memory64Space(options: Memory64SpaceOptions = {}): Memory64Space {
  optionsCheck(rows, options);
  const { maximum = 2 ** 34 } = options;
  if (!Number.isInteger(maximum / WINDOW) || maximum < 4 * WINDOW || maximum > 2 ** 34) {
    throw new RangeError(`maximum must be a multiple of 16 MiB up to 16 GiB, not ${maximum}`);
  }
  return new Memory64Space(memoryNew(BigInt(WINDOW / SLICE), BigInt(maximum / SLICE)), maximum);
}

/** An engine without memory64 throws for the bigints, or ignores `address`: then grow throws. */
function memoryNew(initial: bigint, maximum: bigint): Memory64 {
  try {
    const Memory = WebAssembly.Memory as unknown as new (limits: object) => Memory64;
    const memory = new Memory({ address: "i64", initial, maximum });
    memory.grow(0n);
    return memory;
  } catch (error) {
    throw new RangeError(`this engine has no memory64: ${(error as Error).message}`);
  }
}
