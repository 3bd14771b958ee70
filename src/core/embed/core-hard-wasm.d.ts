/** dist/core-hard.wasm in base64; the build makes core-hard-wasm.js. */
export declare const coreHardWasm: string;
