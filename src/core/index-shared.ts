/** What the shared build exports: the same, and how threads come and go. */

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
