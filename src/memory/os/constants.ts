/** Linux's numbers, which are the same on every architecture that ffi.ts accepts. */

export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

export const MAP_PRIVATE = 0x2;
export const MAP_ANONYMOUS = 0x20;
export const MAP_NORESERVE = 0x4000;
export const MAP_HUGETLB = 0x40000;

export const MADV_DONTNEED = 4;
export const MADV_FREE = 8;
export const MADV_HUGEPAGE = 14;
export const MADV_NOHUGEPAGE = 15;
/** Linux 6.13 and newer. */
export const MADV_GUARD_INSTALL = 102;
export const MADV_GUARD_REMOVE = 103;

export const SC_PAGESIZE = 30;
export const SIGSEGV = 11;
/** The handler gets a siginfo_t. A BigInt, because a sigaction is read as words of 64 bits. */
export const SA_SIGINFO = 4n;
/** The handler that ignores a signal; 0 is the default action of the system. */
export const SIG_IGN = 1n;
