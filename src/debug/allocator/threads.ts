/** Which thread owns an allocator, and which one uses it. */

export class Owner {
  readonly #threadId: () => number;
  /** Its first word holds the owner's number and 1, or 0 while there is none. */
  readonly #state: Int32Array | undefined;
  readonly #maker: number;
  /** Who has used the allocator last, here: in this thread's object. */
  #last: number | undefined;

  /** After a stranger's call: whether the last call before it was the owner's. */
  hasUsed = false;

  /** The calling thread becomes the owner, unless `state` says that another one is. */
  constructor(threadId: () => number, state: Int32Array | undefined) {
    this.#threadId = threadId;
    this.#state = state;
    this.#maker = threadId();
    this.#claim(this.#maker);
  }

  /** Owner and caller, if they differ. */
  stranger(): { owner: number; user: number } | undefined {
    const user = this.#threadId();
    const owner = this.#claim(user);
    this.hasUsed = this.#last === owner;
    if (user !== owner) return { owner, user };
    this.#last = user;
    return undefined;
  }

  /** The next thread that uses the memory owns it. */
  leave(): void {
    if (this.#state) Atomics.store(this.#state, 0, 0);
  }

  /** The owner; without one, the calling thread becomes it. */
  #claim(user: number): number {
    if (!this.#state) return this.#maker;
    const before = Atomics.compareExchange(this.#state, 0, 0, user + 1);
    return before === 0 ? user : before - 1;
  }
}
