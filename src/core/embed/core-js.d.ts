import type { CoreExports } from "../contract.js";
import type { CoreHost } from "../target/glue.js";

/** The core as JavaScript; the build makes core-js.js from src/core. */
export declare function createCore(host: CoreHost): CoreExports;
