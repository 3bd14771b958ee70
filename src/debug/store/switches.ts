/**
 * Which mistakes are looked for. Nobody but the tests turns one off, one at a time, to see that
 * the test of that mistake fails without its detector.
 */
export const detectors = {
  leak: true,
  doubleFree: true,
  useAfterFree: true,
  invalidFree: true,
  interiorPointer: true,
  sizeMismatch: true,
  alignmentMismatch: true,
  writePastEnd: true,
  writeBeforeStart: true,
  writeAfterFree: true,
  wrongThread: true,
  memoryLimit: true,
  forgottenHandle: true,
};
