/** The exports of the shared build: those of the core, and how threads attach and detach. */

export { abandonedAdoptAll } from "./heap/abandon.ts";
export {
  threadAttach,
  threadBound,
  threadCount,
  threadDetach,
  threadHeap,
  threadIdDraw,
  threadRecover,
} from "./heap/threads.ts";
export * from "./index.ts";
export { remoteTakeAll } from "./pages/remote.ts";
export { stateReach } from "./slices/slices-shared.ts";
