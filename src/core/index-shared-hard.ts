/** What the hardened build for threads exports. */

export { hardeningBegin } from "./features.ts";
export * from "./index-shared.ts";
export { linkLoad } from "./links.ts";
export { randomIsWeak, randomRenew } from "./random.ts";
