/** dist/core-shared.wasm in base64; the build makes core-shared-wasm.js. */
export declare const coreSharedWasm: string;
