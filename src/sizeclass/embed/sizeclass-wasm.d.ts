/** dist/sizeclass.wasm in base64; the build makes sizeclass-wasm.js. */
export declare const sizeclassWasm: string;
