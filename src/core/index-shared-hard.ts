/** What the hardened build for threads exports. */

export { hardeningBegin } from "./hard/features.ts";
export { linkLoad } from "./hard/links.ts";
export { randomIsWeak, randomRenew } from "./hard/random.ts";
export * from "./index-shared.ts";
