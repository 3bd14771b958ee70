/** Errors as one line. */
export function errorText(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** What a call throws. */
export function thrownText(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return errorText(error);
  }
  return "nothing thrown";
}
