// The signal handler of faults.ts, for arm64 Linux. scripts/faults.mjs makes faults-code.ts of
// it. faults-x64.S tells what it is for, what it does and what its data are; this is what differs.
//
// Pages have 4, 16 or 64 KiB, as the kernel was built. So the data have their size, and begin after
// the largest possible page of code.
//
// Whether a fault was a write is not in the registers that the kernel has saved, but in a record
// after them, with the processor's exception syndrome (ESR). The records follow each other; each
// begins with its kind and its size, and the last one has size 0. With a kernel or an emulator that
// does not write that record, every fault counts as a read.
//
// Other processors may see stores in any order, so the number of an entry is cleared before the
// entry is written and stored after it, with barriers. Counting up is a loop, because ARMv8.0 does
// not have the single instruction for it.

        .equ DATA, 65536
        .equ OLD, 0
        .equ TRY, 8
        .equ PAGE, 16
        .equ RANGES, 4096
        .equ RANGES_SIZE, 32 * 2048
        .equ RANGE_SIZE, 2048
        .equ HEAD, 16
        .equ RING, 1024
        .equ SI_ADDR, 16                // siginfo_t
        .equ UC_PC, 176 + 264           // ucontext_t: uc_mcontext.pc
        .equ UC_RECORDS, 176 + 288      // uc_mcontext.__reserved
        .equ RECORDS_SIZE, 4096
        .equ ESR_MAGIC_LOW, 0x5201      // 0x45535201
        .equ ESR_MAGIC_HIGH, 0x4553
        .equ ESR_WRITE, 6               // a bit
        .equ SYS_MPROTECT, 226
        .equ SYS_MADVISE, 233
        .equ MADV_GUARD_REMOVE, 103
        .equ READ_WRITE, 3

        .text
entry:                                  // w0 = signal, x1 = siginfo_t, x2 = ucontext_t
        ldr     x3, [x1, #SI_ADDR]
        adr     x4, entry + DATA
        add     x5, x4, #RANGES
        add     x6, x5, #RANGES_SIZE
next:   ldp     x7, x9, [x5]            // FROM and TO
        cmp     x3, x7
        b.lo    other
        cmp     x3, x9
        b.lo    ours
other:  add     x5, x5, #RANGE_SIZE
        cmp     x5, x6
        b.ne    next
        ldr     x16, [x4, #OLD]
        br      x16                     // with the arguments of this handler

ours:   stp     x29, x30, [sp, #-80]!
        mov     x29, sp
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x0, x1, [sp, #48]
        str     x2, [sp, #64]
        mov     x19, x4                 // x19 = data
        mov     x20, x3                 // x20 = address
        add     x7, x5, #HEAD
count:  ldaxr   x21, [x7]               // x21 = number of faults before this one
        add     x9, x21, #1
        stlxr   w10, x9, [x7]
        cbnz    w10, count
        and     x9, x21, #31
        add     x22, x5, x9, lsl #5
        add     x22, x22, #RING         // x22 = entry of the ring
        str     xzr, [x22, #24]
        dmb     ishst
        ldr     x9, [x2, #UC_PC]
        stp     x3, x9, [x22]

        mov     x11, #0                 // x11 = 2 for a write, else 0
        add     x9, x2, #UC_RECORDS
        add     x12, x9, #RECORDS_SIZE
        movz    w13, #ESR_MAGIC_LOW
        movk    w13, #ESR_MAGIC_HIGH, lsl #16
record: ldp     w10, w14, [x9]          // kind and size
        cbz     w14, kind
        cmp     w10, w13
        b.eq    esr
        add     x9, x9, x14
        cmp     x9, x12
        b.lo    record
        b       kind
esr:    ldr     x10, [x9, #8]
        ubfx    x10, x10, #ESR_WRITE, #1
        lsl     x11, x10, #1
kind:   str     x11, [x22, #16]

        ldr     x16, [x19, #TRY]        // with the arguments of this handler
        blr     x16
        tbz     w0, #0, open
        ldr     x9, [x22, #16]
        orr     x9, x9, #4
        str     x9, [x22, #16]
        b       done

open:   ldr     x1, [x19, #PAGE]
        neg     x9, x1
        and     x9, x20, x9             // x9 = page
        mov     x0, x9
        mov     x2, #MADV_GUARD_REMOVE
        mov     x8, #SYS_MADVISE
        svc     #0
        mov     x0, x9
        mov     x2, #READ_WRITE
        mov     x8, #SYS_MPROTECT
        svc     #0
        cbnz    x0, fail
done:   add     x21, x21, #1
        add     x9, x22, #24
        stlr    x21, [x9]               // the entry is complete
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x29, x30, [sp], #80
        ret

fail:   ldr     x16, [x19, #OLD]        // the page stays closed: the old handler decides
        ldp     x0, x1, [sp, #48]
        ldr     x2, [sp, #64]
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x29, x30, [sp], #80
        br      x16
