import type { SharedCoreExports } from "../contract.js";
import type { CoreHost } from "../target/glue.js";

/** The core for threads as JavaScript; the build makes core-shared-js.js from src/core. */
export declare function createCore(host: CoreHost): SharedCoreExports;
