/** hardened-on.ts for the unhardened builds. */
export const HARDENED: bool = false;
