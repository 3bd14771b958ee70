/** The other allocators of replays, in base64; the build makes rivals.js from bench/rivals. */
export declare const rivals: Readonly<Record<"dlmalloc" | "tlsf", string>>;
