/** A progress bar on stderr, where it disturbs no output; nothing if that is not a terminal. */

import { SingleBar } from "cli-progress";

interface Progress {
  step(): void;
  stop(): void;
}

/** As a shell reports a program that Ctrl-C ended. */
const EXIT_INTERRUPTED = 130;

/** @param total steps until the end. */
export function progressStart(total: number): Progress {
  if (!process.stderr.isTTY) return { step() {}, stop() {} };
  const bar = new SingleBar({
    format: "replaying [{bar}] {value}/{total}",
    stream: process.stderr,
    clearOnComplete: true,
    // Ctrl-C must end the program; the bar's own handler only ends the bar.
    gracefulExit: false,
    linewrap: true,
  });
  bar.start(total, 0);
  const interrupt = (): never => {
    bar.stop();
    process.exit(EXIT_INTERRUPTED);
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
