/** What a hardened build exports besides. */

export { hardeningBegin } from "./features.ts";
export * from "./index.ts";
export { linkLoad } from "./links.ts";
export { randomIsWeak, randomRenew } from "./random.ts";
