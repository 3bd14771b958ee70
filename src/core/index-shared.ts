/** What the shared build exports: the same, and how threads come and go. */

export { abandonedAdoptAll } from "./heap/abandon.ts";
export {
  threadAttach,
  threadCount,
  threadDetach,
  threadHeap,
  threadNumber,
  threadRecover,
  ticketDraw,
} from "./heap/threads.ts";
export * from "./index.ts";
export { remoteTakeAll } from "./pages/remote.ts";
export { arenaReach } from "./slices/slices-shared.ts";
