/** Modules as text, for tests that need code of a certain form. */
import binaryen from "binaryen";

/** The bytes of a module in the text format; names of functions are left out. */
export function wat(text: string): Uint8Array<ArrayBuffer> {
  return assemble(text, false);
}

/** The bytes of a module, with its names of functions. */
export function namedWat(text: string): Uint8Array<ArrayBuffer> {
  return assemble(text, true);
}

function assemble(text: string, names: boolean): Uint8Array<ArrayBuffer> {
  const module = binaryen.parseText(text);
  try {
    module.setFeatures(binaryen.Features.All);
    binaryen.setDebugInfo(names);
    return new Uint8Array(module.emitBinary());
  } finally {
    module.dispose();
  }
}
