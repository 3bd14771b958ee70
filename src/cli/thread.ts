/**
 * Programs run on a thread of their own: so this one can still act on a signal while the program is
 * in a loop, and print what the thread has found until then.
 */
import { rmSync } from "node:fs";
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from "node:worker_threads";
import type { Report } from "../wasm/check/report.ts";
import { type EndingSignal, SIGNALS } from "./exit-codes.ts";
import type { ThreadData, ThreadMessage, ThreadOrder } from "./orders.ts";

/** How a thread has ended. */
export type ThreadEnd =
  | Exclude<ThreadMessage, { kind: "found" | "note" | "temporary" }>
  | { readonly kind: "signal"; readonly signal: EndingSignal };

/** How long a thread may take to end, in milliseconds: it cannot while it waits for input. */
const END_WAIT = 500;

/** Runs a program on a thread; `onFound` and `onNote` get what it finds, in order. */
export async function threadRun(
  order: ThreadOrder,
  onFound: (found: Report) => void = () => undefined,
  onNote: (text: string) => void = () => undefined,
): Promise<ThreadEnd> {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL("./cli.js", import.meta.url), {
    workerData: { order, port: port2 } satisfies ThreadData,
    transferList: [port2],
  });
  const watch = new ThreadWatch(worker, port1, onFound, onNote);
  const end = await watch.ended;
  port1.close();
  if (end.kind === "signal") await watch.stop(end.signal);
  return end;
}

class ThreadWatch {
  readonly ended: Promise<ThreadEnd>;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #onFound: (found: Report) => void;
  readonly #onNote: (text: string) => void;
  readonly #temporary: string[] = [];
  #end: (end: ThreadEnd) => void = () => undefined;

  constructor(
    worker: Worker,
    port: MessagePort,
    onFound: (found: Report) => void,
    onNote: (text: string) => void,
  ) {
    this.#onNote = onNote;
    this.#worker = worker;
    this.#port = port;
    this.#onFound = onFound;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    port.on("message", (message: ThreadMessage) => this.#take(message));
    worker.on("error", (error) => this.#end({ kind: "failed", text: error.message }));
    worker.on("exit", () => {
      this.#drain();
      this.#end({ kind: "failed", text: "the thread of the program has ended" });
    });
    for (const signal of Object.keys(SIGNALS) as EndingSignal[]) {
      process.on(signal, () => this.#interrupt(signal));
    }
  }

  #take(message: ThreadMessage): void {
    if (message.kind === "found") this.#onFound(message.found);
    else if (message.kind === "note") this.#onNote(message.text);
    else if (message.kind === "temporary") this.#temporary.push(message.path);
    else this.#end(message);
  }

  #drain(): void {
    for (;;) {
      const next = receiveMessageOnPort(this.#port) as { message: ThreadMessage } | undefined;
      if (next === undefined) return;
      this.#take(next.message);
    }
  }

  #interrupt(signal: EndingSignal): void {
    this.#drain();
    this.#end({ kind: "signal", signal });
  }

  /**
   * Ends the thread and removes its files. A thread that waits for input cannot be ended: then the
   * process gets the signal again, behind what is still to be printed.
   */
  async stop(signal: EndingSignal): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, END_WAIT, true);
    });
    const isLate = await Promise.race([this.#worker.terminate().then(() => false), late]);
    clearTimeout(timer);
    for (const path of this.#temporary) rmSync(path, { force: true });
    if (!isLate) return;
    setImmediate(() => {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    });
  }
}
