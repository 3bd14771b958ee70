/** The hardened build for threads with its validity walks, for tests. */

export { hardeningBegin } from "./features.ts";
export * from "./index-shared-check.ts";
export { linkLoad } from "./links.ts";
export { randomIsWeak, randomRenew } from "./random.ts";
