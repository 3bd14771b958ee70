/**
 * Messages, warnings and errors: which are printed, and how many. The options that decide it are
 * here too, since reading them can warn.
 */
import { prefixOf } from "./log-messages.ts";
import { messageWrite } from "./log-output.ts";
import { type Environment, RuntimeOptions } from "./runtime-options.ts";

/** The options of this thread: see docs/reference/options.md. */
export const options = new RuntimeOptions(environment, (text, option) => {
  // Who asked for messages in a way that is none is told so at least.
  if (option === "verbose") messageWrite(prefixOf("warning: ", 0), text);
  else logWarning(text);
});

function environment(): Environment {
  return typeof process === "object" && process.env ? process.env : {};
}

/** What has been printed so far. */
const said = { errors: 0, warnings: 0 };

/** Says an error, if errors are shown. `thread`: who found it; 0 = the main thread. */
export function logError(text: string, thread = 0): void {
  if (worthSaying("errors", "maxErrors")) messageWrite(prefixOf("error: ", thread), text);
}

/** Says a warning, if errors are shown. */
export function logWarning(text: string, thread = 0): void {
  if (worthSaying("warnings", "maxWarnings")) messageWrite(prefixOf("warning: ", thread), text);
}

/** Says what only who asked for it wants to know: level 1 of `verbose`, or 2. */
export function logVerbose(level: number, text: string, thread = 0): void {
  if (options.get("verbose") >= level) messageWrite(prefixOf("", thread), text);
}

function worthSaying(kind: "errors" | "warnings", max: "maxErrors" | "maxWarnings"): boolean {
  if (options.isEnabled("verbose")) return true;
  if (!options.isEnabled("showErrors")) return false;
  const limit = options.get(max);
  if (limit >= 0 && said[kind] >= limit) return false;
  said[kind] += 1;
  return true;
}
