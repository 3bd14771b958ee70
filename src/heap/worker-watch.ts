/**
 * How a heap learns that a Worker of a browser has ended: browsers fire no event for it, and a busy
 * Worker runs on after terminate(), in Chromium for 2 s. So the Worker holds a lock of the Web
 * Locks API for its life, which the platform takes from it only after its last instruction, and the
 * heap's owner waits for the same lock.
 *
 *   Worker                                          owner
 *   attachHeap asks for its lock
 *   gets it, says so on the channel  ------------>  asks for the same lock
 *   ends, however it does            ------------>  gets it, recovers what the Worker left
 *
 * The first to ask gets it, and a Worker gets nothing before its event loop turns: an owner that
 * asked at once would recover a thread that is alive. The price is that a Worker which ends, or
 * blocks its loop for good, before it has the lock is not watched; `watched` tells it when it is.
 */

/** The owner's part. */
export interface Watch {
  /** For the handles. */
  readonly name: string | undefined;
  close(): void;
}

/** What a handle says of it. */
interface WatchedSeat {
  readonly ticket: number;
  readonly watch?: string | undefined;
}

function lockName(name: string, ticket: number): string {
  return `${name}-${ticket}`;
}

/**
 * A name for the channel and the locks of one heap. All pages of an origin share such names, so it
 * is one that nobody else has. Undefined where Workers are not those of the web, and tell their
 * end; empty where they are and there is no way to watch them.
 */
function watchName(): string | undefined {
  if (globalThis.Worker === undefined) return undefined;
  const able = globalThis.BroadcastChannel && globalThis.navigator?.locks;
  return able ? `terrane-${crypto.randomUUID()}` : "";
}

/** For the owner: calls `ended` with the id of each thread that was watched and has ended. */
export function watchOpen(ended: (ticket: number) => void): Watch {
  const name = watchName();
  if (!name) return { name, close() {} };
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data: ticket }) => {
    const asked = navigator.locks.request(lockName(name, ticket), () => {});
    // Refused only when this page goes away itself.
    asked.then(
      () => ended(ticket),
      () => {},
    );
  };
  return { name, close: () => channel.close() };
}

/**
 * For the thread that a handle was made for: settles when its owner is sure to see its end. True at
 * once where Workers tell it; false if nobody watches, or the platform refuses locks, as it does in
 * a sandboxed frame.
 */
export function watchAccept(handle: WatchedSeat | undefined): Promise<boolean> {
  const { ticket = 0, watch } = handle ?? {};
  if (ticket === 0 || watch === "") return Promise.resolve(false);
  return watch === undefined ? Promise.resolve(true) : watchHold(watch, ticket);
}

/** Takes the lock of the thread id, and keeps it. */
function watchHold(name: string, ticket: number): Promise<boolean> {
  return new Promise((resolve) => {
    const hold = () => {
      watchTell(name, ticket);
      resolve(true);
      return new Promise<never>(() => {});
    };
    navigator.locks.request(lockName(name, ticket), hold).catch(() => resolve(false));
  });
}

function watchTell(name: string, ticket: number): void {
  const channel = new BroadcastChannel(name);
  channel.postMessage(ticket);
  channel.close();
}
