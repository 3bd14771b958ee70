/** Failures that the user's arguments or files are the reason for. */

/** A wrong argument, or a file that cannot be used: one line, and exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Runs a step in which everything that fails is the user's mistake. @throws UsageError */
export function asUsage<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
