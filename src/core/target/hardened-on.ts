/**
 * Whether this is a hardened build. A constant: with hardened-off.ts instead of this file,
 * compilers drop every check, and the unhardened core does not change by one instruction.
 */
export const HARDENED: bool = true;
