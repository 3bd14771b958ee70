/** What the shared build exports: the same, and how threads come and go. */

export { abandonedAdoptAll } from "./abandon.ts";
export * from "./index.ts";
export { remoteTakeAll } from "./remote.ts";
export { arenaReach } from "./slices-shared.ts";
export {
  threadAttach,
  threadCount,
  threadDetach,
  threadHeap,
  threadNumber,
  threadRecover,
  ticketDraw,
} from "./threads.ts";
