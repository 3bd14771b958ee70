/** The hardened build with its validity walks and its arithmetic, for tests. */

export {
  chachaBlock,
  chachaInit,
  chachaIsValid,
  chachaNext,
  chachaSplit,
  quarterRound,
} from "./chacha.ts";
export { decode, encode, shuffle32 } from "./encode.ts";
export { hardeningBegin } from "./features.ts";
export * from "./index-check.ts";
export { linkLoad } from "./links.ts";
export { randomIsWeak, randomNext, randomRenew } from "./random.ts";
