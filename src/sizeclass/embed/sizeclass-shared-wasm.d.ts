/** dist/sizeclass-shared.wasm in base64; the build makes sizeclass-shared-wasm.js. */
export declare const sizeclassSharedWasm: string;
