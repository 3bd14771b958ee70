/** The hardened build for threads with validity checks, for tests. */

export { hardeningBegin } from "./hard/features.ts";
export { linkLoad } from "./hard/links.ts";
export { randomIsWeak, randomRenew } from "./hard/random.ts";
export * from "./index-shared-check.ts";
