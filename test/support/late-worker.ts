/** Attaches again and again, each time while another thread grows the memory: see late.test.ts. */
import { type MessagePort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { attachAny } from "./any-heap.js";
import * as L from "./late.js";

const { port, words, attaches } = workerData as {
  port: MessagePort;
  words: Int32Array;
  attaches: number;
};

for (let i = 1; i <= attaches; i++) {
  L.hear(words, L.SENT, i);
  Atomics.store(words, L.RECEIVES, i);
  const heap = attachAny(receiveMessageOnPort(port)?.message);
  L.hear(words, L.GROWN, i);
  const p = Atomics.load(words, L.BLOCK) >>> 0;
  Atomics.store(words, L.VALUE, heap.u32[p >>> 2] as number);
  heap.detach();
  L.say(words, L.SEEN, i);
}
port.close();
