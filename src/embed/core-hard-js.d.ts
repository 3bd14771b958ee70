import type { HardCoreExports } from "../core/contract.js";
import type { HardHost } from "../core/glue-hard.js";

/** The hardened core as JavaScript; the build makes core-hard-js.js from src/core. */
export declare function createCore(host: HardHost): HardCoreExports;
