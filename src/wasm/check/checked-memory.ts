/** The memory of a checked program. */
import { PAGE_BYTES } from "../../common/constants.ts";

/** @throws RangeError in words: the engine's own text does not say what to do. */
export function memoryCreate(pages: number, shared: boolean): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  } catch {
    const bytes = pages * PAGE_BYTES;
    throw new RangeError(
      `there is no address space for the checker's memory of ${bytes} bytes; ` +
        "let another checker be collected first, or reduce heapBytes",
    );
  }
}
