/**
 * Whether this is a hardened build. A constant: where hardening-none.ts stands in for this file,
 * compilers drop every check, and the plain core does not change by one instruction.
 */
export const HARDENED: bool = true;
