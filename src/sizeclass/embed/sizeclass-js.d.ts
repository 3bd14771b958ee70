import type { SizeClassCore } from "../core/contract.js";
import type { SpaceHost } from "../core/space.js";

/** The size-class allocator as JavaScript; the build makes sizeclass-js.js from src/sizeclass. */
export declare function createCore(host: SpaceHost): SizeClassCore;
