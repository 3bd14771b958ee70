import type { SizeClassCore } from "../core/contract.js";
import type { SpaceHost } from "../core/space.js";

/** The size-class allocator as JavaScript, from src/sizeclass; the build makes it. */
export declare function createCore(host: SpaceHost): SizeClassCore;
