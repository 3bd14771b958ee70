/** The hardened build with its validity checks and its arithmetic, for tests. */

export {
  chachaBlock,
  chachaInit,
  chachaIsValid,
  chachaNext,
  chachaSplit,
  quarterRound,
} from "./hard/chacha.ts";
export { decode, encode, shuffle32 } from "./hard/encode.ts";
export { hardeningBegin } from "./hard/features.ts";
export { linkLoad } from "./hard/links.ts";
export { randomIsWeak, randomNext, randomRenew } from "./hard/random.ts";
export * from "./index-check.ts";
