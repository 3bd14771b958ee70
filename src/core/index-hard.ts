/** The exports of the hardened build. */

export { hardeningBegin } from "./hard/features.ts";
export { linkLoad } from "./hard/links.ts";
export { randomIsWeak, randomRenew } from "./hard/random.ts";
export * from "./index.ts";
