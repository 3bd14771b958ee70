/** What the shared build exports: the same, and how threads come and go. */

export * from "./index.ts";
export { remoteTakeAll } from "./remote.ts";
export {
  threadAttach,
  threadCount,
  threadDetach,
  threadRecover,
  threadTicket,
  ticketDraw,
} from "./threads.ts";
