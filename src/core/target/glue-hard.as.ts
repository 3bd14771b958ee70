/** The intrinsics of the hardened core, AssemblyScript side; glue-hard.ts explains them. */

// @ts-expect-error: decorator
@external("env", "random")
export declare function hostRandom(at: usize, words: u32): bool;
// @ts-expect-error: decorator
@external("env", "report")
export declare function hostReport(kind: u32, p: usize, a: u32, b: u32): void;
// @ts-expect-error: decorator
@external("env", "protect")
export declare function hostProtect(p: usize, size: usize, on: bool): void;

// @ts-expect-error: decorator
@inline
export function memoryFill(p: usize, value: u32, size: usize): void {
  memory.fill(p, value as u8, size);
}
