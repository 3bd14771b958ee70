/**
 * The kinds of mistakes that are looked for: all of them. Tests turn one off, to prove that the
 * test of its mistake fails without it.
 */
export const allDetectors = {
  leak: true,
  doubleFree: true,
  useAfterFree: true,
  notABlock: true,
  interiorPointer: true,
  sizeMismatch: true,
  alignmentMismatch: true,
  heapOverflow: true,
  heapUnderflow: true,
  writeAfterFree: true,
  wrongThread: true,
  memoryLimit: true,
  forgottenHandle: true,
};

export type Detectors = Readonly<typeof allDetectors>;
