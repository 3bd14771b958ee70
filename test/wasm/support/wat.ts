/** Modules as text, for tests that need code of a certain form. */
import binaryen from "binaryen";

/** The bytes of a module in the text format; names of functions are left out. */
export function wat(text: string): Uint8Array<ArrayBuffer> {
  const module = binaryen.parseText(text);
  module.setFeatures(binaryen.Features.All);
  const bytes = new Uint8Array(module.emitBinary());
  module.dispose();
  return bytes;
}
