import type { CoreExports } from "../core/contract.js";
import type { CoreHost } from "../core/glue.js";

/** The core as JavaScript; the build makes core-js.js from src/core. */
export declare function createCore(host: CoreHost): CoreExports;
