/** Sizes that several modules need. */

/** Bytes of a page of WebAssembly's memory, and of a slice of the heap. */
export const PAGE_BYTES = 65536;

/** The most pages of a memory with 32-bit addresses. */
export const PAGES_MOST = 65536;
