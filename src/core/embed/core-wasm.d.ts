/** dist/core.wasm in base64; the build makes core-wasm.js. */
export declare const coreWasm: string;
