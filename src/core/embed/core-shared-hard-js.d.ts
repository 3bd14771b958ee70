import type { HardCoreExports, SharedCoreExports } from "../contract.js";
import type { HardHost } from "../target/glue-hard.js";

/** The hardened core for threads as JavaScript; the build makes core-shared-hard-js.js. */
export declare function createCore(host: HardHost): SharedCoreExports & HardCoreExports;
