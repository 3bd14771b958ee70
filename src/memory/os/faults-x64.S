# The signal handler of faults.ts, for x86-64 Linux. scripts/faults.mjs makes faults-code.ts
# of it. The code is position-independent, calls only the two functions named here, and uses only
# the data named here, because a signal handler may interrupt any code.
#
# 64 KiB for this code, read-only, and then the data:
#
#      0  OLD     handler that was installed before: it gets all other faults
#      8  TRY     v8::TryHandleWebAssemblyTrapPosix
#     16  PAGE    bytes of a page, for processors that have several sizes
#   4096  RANGES  32 ranges of addresses that are watched, with 2048 bytes of data each:
#                    0  FROM
#                    8  TO    0 = unused
#                   16  HEAD  faults so far
#                 1024  RING  the last 32 faults:
#                                0  address of the fault
#                                8  instruction that made it
#                               16  2 = a write; 4 = V8 threw a RuntimeError; 0 = a read, and the
#                                   page was made accessible
#                               24  number of the fault from 1, written last, when the entry is
#                                   complete
#
# Each range has a ring of its own, so that the faults of one thread do not replace another's.
#
# A fault in a watched range is recorded. If WebAssembly code made the access, V8 turns the fault
# into a trap, as it does without this handler. Any other access would end the process: JavaScript,
# the engine and calls of the system cannot trap. So the page is made accessible, by whichever means
# it was closed, and the instruction runs again. (Kernels before 6.13 do not know guards and refuse
# the first of the two calls.)

        .intel_syntax noprefix
        .set PAGE, 4096
        .set DATA, 65536
        .set OLD, 0
        .set TRY, 8
        .set RANGES, 4096
        .set RANGES_END, 4096 + 32 * 2048
        .set RANGE_SIZE, 2048
        .set FROM, 0
        .set TO, 8
        .set HEAD, 16
        .set RING, 1024
        .set SI_ADDR, 16                        # siginfo_t
        .set UC_RIP, 40 + 16 * 8                # ucontext_t: gregs[REG_RIP]
        .set UC_ERR, 40 + 19 * 8                # gregs[REG_ERR]: bit 1 = a write
        .set SYS_MPROTECT, 10
        .set SYS_MADVISE, 28
        .set MADV_GUARD_REMOVE, 103
        .set READ_WRITE, 3

        .text
entry:                                          # edi = signal, rsi = siginfo_t, rdx = ucontext_t
        mov     rax, [rsi + SI_ADDR]
        lea     r8, [rip + entry + DATA]
        lea     r9, [r8 + RANGES]
        lea     r10, [r8 + RANGES_END]
next:   cmp     rax, [r9 + FROM]
        jb      other
        cmp     rax, [r9 + TO]
        jb      ours
other:  add     r9, RANGE_SIZE
        cmp     r9, r10
        jne     next
        jmp     [r8 + OLD]                      # with the arguments of this handler

ours:   push    rbx                             # with seven pushes the stack is aligned for a call
        push    rbp
        push    r12
        push    r13
        push    r14
        push    rdi
        push    rdx
        mov     rbp, r8                         # rbp = data
        mov     r13, rax                        # r13 = address
        mov     r14, rsi                        # r14 = siginfo_t
        mov     ebx, 1
        lock xadd [r9 + HEAD], rbx              # rbx = number of faults before this one
        mov     r12d, ebx
        and     r12d, 31
        shl     r12d, 5
        lea     r12, [r9 + r12 + RING]          # r12 = entry of the ring
        mov     qword ptr [r12 + 24], 0
        mov     [r12], rax
        mov     rax, [rdx + UC_RIP]
        mov     [r12 + 8], rax
        mov     rax, [rdx + UC_ERR]
        and     eax, 2
        mov     [r12 + 16], rax
        call    [rbp + TRY]                     # the same three arguments
        test    al, al
        jz      open
        or      qword ptr [r12 + 16], 4
        jmp     done

open:   mov     rdi, r13
        and     rdi, -PAGE
        mov     esi, PAGE
        mov     edx, MADV_GUARD_REMOVE
        mov     eax, SYS_MADVISE
        syscall
        mov     edx, READ_WRITE
        mov     eax, SYS_MPROTECT
        syscall
        test    rax, rax
        jnz     fail
done:   inc     rbx
        mov     [r12 + 24], rbx
        pop     rdx
        pop     rdi
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
        ret

fail:   mov     r8, rbp                         # the page stays closed: the old handler decides
        mov     rsi, r14
        pop     rdx
        pop     rdi
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
        jmp     [r8 + OLD]
