/** Views of the memory of a MemorySource. */
import type { MemorySource } from "../../memory/index.ts";
import type { Memory } from "../pool/contract.ts";

/** Views that are made anew when the source has another buffer. */
export function memoryViewsOf(source: MemorySource): Memory {
  let buffer = source.buffer;
  let bytes = new Uint8Array(buffer);
  let words = new Uint32Array(buffer);
  function renew(): void {
    buffer = source.buffer;
    bytes = new Uint8Array(buffer);
    words = new Uint32Array(buffer);
  }
  return {
    bytes() {
      if (source.buffer !== buffer) renew();
      return bytes;
    },
    u32() {
      if (source.buffer !== buffer) renew();
      return words;
    },
  };
}
