import type { HardCoreExports } from "../contract.js";
import type { HardHost } from "../target/glue-hard.js";

/** The hardened core as JavaScript; the build makes core-hard-js.js from src/core. */
export declare function createCore(host: HardHost): HardCoreExports;
