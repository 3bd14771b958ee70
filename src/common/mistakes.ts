/**
 * Every kind of mistake with memory that terrane reports, and every refusal that is not about a
 * value: one list for the heap, hardening, layers, the debug allocator, size classes and
 * `terrane check`. A kind has one code (errors), one title (reports, suppressions) and one sentence
 * (documentation), no matter which tool finds it. docs/reference/mistakes.md is made from it.
 */

export interface MistakeRow {
  /** In reports and suppressions. */
  readonly title: string;
  /** What happened, in one sentence. */
  readonly text: string;
}

/** The kinds, by the code that errors carry. */
export const mistakes = {
  // Pointers that a call was given.
  ERR_NOT_A_BLOCK: { title: "not-a-block", text: "The pointer is not a block." },
  ERR_INTERIOR_POINTER: {
    title: "interior-pointer",
    text: "The pointer is inside a block, not at its start.",
  },
  ERR_STACK_POINTER: { title: "stack-pointer", text: "The pointer is to the stack." },
  ERR_STATIC_POINTER: { title: "static-pointer", text: "The pointer is to a static variable." },
  ERR_MISALIGNED_POINTER: {
    title: "misaligned-pointer",
    text: "The pointer is not aligned as every block is.",
  },
  ERR_DOUBLE_FREE: { title: "double-free", text: "A block is freed twice." },
  ERR_REALLOC_AFTER_FREE: {
    title: "realloc-after-free",
    text: "A block that was freed is resized.",
  },
  ERR_SIZE_MISMATCH: {
    title: "size-mismatch",
    text: "A block is freed with a size that it does not have.",
  },
  ERR_ALIGNMENT_MISMATCH: {
    title: "alignment-mismatch",
    text: "A block is freed with an alignment that it does not have.",
  },
  ERR_FAMILY_MISMATCH: {
    title: "family-mismatch",
    text: "A block is freed by another family of functions than it was allocated by.",
  },
  ERR_WRONG_THREAD: {
    title: "wrong-thread",
    text: "A thread uses an allocator that belongs to another thread.",
  },
  // Accesses to memory.
  ERR_HEAP_OVERFLOW: { title: "heap-overflow", text: "An access is past the end of a block." },
  ERR_HEAP_UNDERFLOW: {
    title: "heap-underflow",
    text: "An access is before the start of a block.",
  },
  ERR_USE_AFTER_FREE: { title: "use-after-free", text: "A freed block is used." },
  ERR_WRITE_AFTER_FREE: {
    title: "write-after-free",
    text: "A freed block was written, which was found later.",
  },
  ERR_OUT_OF_BOUNDS: {
    title: "out-of-bounds",
    text: "An access is out of bounds, and the block that it missed is not known.",
  },
  ERR_NULL_ACCESS: { title: "null-access", text: "An access is through a null pointer." },
  ERR_WILD_ACCESS: {
    title: "wild-access",
    text: "An access is to memory that no block, stack or variable has.",
  },
  ERR_UNINITIALISED_READ: {
    title: "uninitialised-read",
    text: "Memory that was never written decides what the program does.",
  },
  // Blocks that stay.
  ERR_LEAK: { title: "leak", text: "A block was never freed, and nothing points to it." },
  ERR_INDIRECT_LEAK: {
    title: "indirect-leak",
    text: "A block was never freed, and only leaked blocks point to it.",
  },
  ERR_POSSIBLE_LEAK: {
    title: "possible-leak",
    text: "A block was never freed, and only a local variable can point to it.",
  },
  // Damage to what an allocator keeps.
  ERR_CORRUPTED_FREE_LIST: {
    title: "corrupted-free-list",
    text: "A list of free blocks was overwritten.",
  },
  ERR_CORRUPTED_HEADER: {
    title: "corrupted-header",
    text: "The header of a block was overwritten.",
  },
  ERR_HEAP_DAMAGED: {
    title: "heap-damaged",
    text: "What an allocator keeps about its memory was overwritten.",
  },
  ERR_BLOCK_STATE: {
    title: "block-state",
    text: "A block is not in the state that the call needs, most often because it was freed.",
  },
  // Requests that cannot be met.
  ERR_OUT_OF_MEMORY: { title: "out-of-memory", text: "There is no memory for a request." },
  ERR_MEMORY_LIMIT: { title: "memory-limit", text: "A request exceeds the limit that was set." },
  ERR_SIZE_OVERFLOW: {
    title: "size-overflow",
    text: "A count times a size does not fit into 32 bits.",
  },
  ERR_SIZE_LIMIT: { title: "size-limit", text: "A request is larger than any block can be." },
  ERR_BAD_ALIGNMENT: {
    title: "bad-alignment",
    text: "An alignment is not a power of two, or the call does not take it.",
  },
  ERR_CLASS_FULL: {
    title: "class-full",
    text: "The region of a size class has no space for another block.",
  },
  ERR_FREE_ARRAY_FULL: {
    title: "free-array-full",
    text: "The array of free blocks of a size class cannot grow.",
  },
  ERR_NO_THREAD: { title: "no-thread", text: "There is no thread slot left." },
  ERR_NO_ARENA: { title: "no-arena", text: "There is no space for another arena." },
  ERR_LOCKED: { title: "locked", text: "Another thread holds a lock that the call needs." },
  // Things that have ended, or are not what the call needs.
  ERR_HEAP_DESTROYED: { title: "heap-destroyed", text: "The heap was destroyed." },
  ERR_HEAP_DETACHED: {
    title: "heap-detached",
    text: "This thread has detached from the heap.",
  },
  ERR_DISABLED: { title: "disabled", text: "The allocator is disabled." },
  ERR_REGION_ENDED: { title: "region-ended", text: "The region has ended." },
  ERR_REGION_OPEN: { title: "region-open", text: "The region is still open." },
  ERR_ASYNC_RESOURCE: {
    title: "async-resource",
    text: "A resource of the region ends asynchronously, and the region does not.",
  },
  ERR_NOT_MANAGED: { title: "not-managed", text: "The pointer is not a managed block." },
  ERR_COLLECTOR_ENDED: { title: "collector-ended", text: "The collector has ended." },
  ERR_HANDLE_RELEASED: { title: "handle-released", text: "The handle was released." },
  ERR_FORGOTTEN_HANDLE: {
    title: "forgotten-handle",
    text: "A handle was collected as garbage before it was released.",
  },
} as const satisfies Record<string, MistakeRow>;

export type MistakeCode = keyof typeof mistakes;

export type MistakeTitle = (typeof mistakes)[MistakeCode]["title"];
