/** A WebAssembly.Memory with 64-bit addresses as an address space. */
import { wrongKind } from "../../common/errors.ts";
import { type OptionRow, optionsCheck } from "../../common/option-table.ts";
import { type OsPages, osPages } from "../../memory/index.ts";
import { WINDOW, WindowSpace } from "./windows.ts";

/** What lib.dom will know of such a memory. */
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

export interface Memory64SpaceOptions {
  /** The most bytes, up to 16 GiB, in multiples of 16 MiB. Default: 16 GiB. */
  maximum?: number | undefined;
}

/**
 * Addresses are offsets in `memory`, which a module with a 64-bit memory imports. It grows by what
 * is mapped. Nobody else may grow it.
 */
export class Memory64Space extends WindowSpace {
  readonly kind = "memory64";
  /** The first window stays empty, so that a write through a null pointer hits nothing of ours. */
  readonly begin = WINDOW;
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

  /** For the imports of a module. */
  get memory(): WebAssembly.Memory {
    return this.#memory as unknown as WebAssembly.Memory;
  }

  /** The bytes as they are now; ask again after anything that may allocate. */
  get buffer(): ArrayBuffer {
    return this.#memory.buffer;
  }

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

  unmap(address: number, bytes: number): void {
    this.release(address, bytes);
  }

  /** Without OS pages the bytes are only filled with zeros. */
  release(address: number, bytes: number): void {
    const base = this.#os?.addressOf(this.buffer) ?? 0;
    if (base === 0 || !this.#os?.decommit(base + address, bytes)) this.fill(address, bytes, 0);
  }

  resident(address: number, bytes: number): number {
    const base = this.#os?.addressOf(this.buffer) ?? 0;
    return base === 0 ? bytes : (this.#os as OsPages).resident(base + address, bytes);
  }

  protected windowAt(address: number): Uint32Array {
    return new Uint32Array(this.buffer, address, WINDOW / 4);
  }
}

/**
 * A memory64 for `sizeClass({ space })`.
 *
 * @throws RangeError where the engine has none, or refuses the maximum.
 * @example
 * const heap = sizeClass({ space: memory64Space(), freeArray: 4 });
 */
export function memory64Space(options: Memory64SpaceOptions = {}): Memory64Space {
  optionsCheck(rows, options);
  const { maximum = 2 ** 34 } = options;
  if (!Number.isInteger(maximum / WINDOW) || maximum < 4 * WINDOW || maximum > 2 ** 34) {
    throw new RangeError(`maximum must be a multiple of 16 MiB up to 16 GiB, not ${maximum}`);
  }
  return new Memory64Space(memoryNew(BigInt(WINDOW / SLICE), BigInt(maximum / SLICE)), maximum);
}

/** An engine without memory64 takes the bigints for numbers, or the word for nothing. */
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
