/** dist/core-shared-hard.wasm in base64; the build makes core-shared-hard-wasm.js. */
export declare const coreSharedHardWasm: string;
