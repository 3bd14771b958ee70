/** What hardening.ts is for the plain builds. */
export const HARDENED: bool = false;
