import type { SizeClassCore } from "../sizeclass/contract.js";
import type { SpaceHost } from "../sizeclass/space.js";

/** The size-class allocator as JavaScript, from src/sizeclass; the build makes it. */
export declare function createCore(host: SpaceHost): SizeClassCore;
