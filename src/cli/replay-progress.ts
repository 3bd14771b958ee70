/** A progress bar on standard error; nothing if that is not a terminal. */

import { SingleBar } from "cli-progress";
import { SIGNALS } from "./exit-codes.ts";

interface Progress {
  step(): void;
  stop(): void;
}

/** @param total steps until the end. */
export function progressStart(total: number): Progress {
  if (!process.stderr.isTTY) return { step() {}, stop() {} };
  const bar = new SingleBar({
    format: "replaying [{bar}] {value}/{total}",
    stream: process.stderr,
    clearOnComplete: true,
    // Ctrl-C must end the program; the handler of the bar only ends the bar.
    gracefulExit: false,
    linewrap: true,
  });
  bar.start(total, 0);
  const interrupt = (): never => {
    bar.stop();
    process.exit(SIGNALS.SIGINT);
  };
  process.once("SIGINT", interrupt);
  return {
    step: () => bar.increment(),
    stop: () => {
      process.removeListener("SIGINT", interrupt);
      bar.stop();
    },
  };
}
