/* SPDX-License-Identifier: MIT */
/* Proves the numbers of offsets.h, and gives assembly those that depend on options, as absolute
 * symbols. */
#include "hw/offsets.h"

#include <stddef.h>

#include "domain/vcpu.h"
#include "hcall/hcall.h"
#include "hw/cpu_info.h"

#define SAME(type, field, number) \
    _Static_assert(offsetof(struct type, field) == (number), "offsets.h: " #field)
SAME(regs, r15, REGS_R15);
SAME(regs, rbx, REGS_RBX);
SAME(regs, r11, REGS_R11);
SAME(regs, rcx, REGS_RCX);
SAME(regs, rax, REGS_RAX);
SAME(regs, rdi, REGS_RDI);
SAME(regs, rsi, REGS_RSI);
SAME(regs, rdx, REGS_RDX);
SAME(regs, r10, REGS_R10);
SAME(regs, r8, REGS_R8);
SAME(regs, r9, REGS_R9);
SAME(regs, error, REGS_ERROR);
SAME(regs, vector, REGS_VECTOR);
SAME(regs, rip, REGS_RIP);
SAME(regs, cs, REGS_CS);
SAME(regs, rflags, REGS_RFLAGS);
SAME(regs, rsp, REGS_RSP);
SAME(regs, ss, REGS_SS);
_Static_assert(sizeof(struct regs) == REGS_SIZE, "offsets.h: struct regs");
_Static_assert(offsetof(struct cpu_info, regs) == 0 && sizeof(struct cpu_info) == INFO_SIZE &&
                   BLOCK_TOP == BLOCK_SIZE - INFO_SIZE + REGS_SIZE && BLOCK_TOP % 16 == 0,
               "entries from ring 3 push the registers to their place in struct cpu_info");
_Static_assert(REGS_SYSCALL == VEC_OF_SYSCALL, "offsets.h: REGS_SYSCALL");
SAME(cpu_info, current, INFO_CURRENT);
SAME(cpu_info, work, INFO_WORK);
SAME(cpu_info, entry, INFO_ENTRY);

_Static_assert(sizeof(struct hcall_row) == 24, "offsets.h: struct hcall_row");
SAME(hcall_row, fn, HCALL_ROW_FN);
SAME(hcall_row, who, HCALL_ROW_WHO);
SAME(hcall_row, flags, HCALL_ROW_FLAGS);
_Static_assert(HCALL_COUNT == HCALL_MAX + 1 && (HCALL_COUNT & HCALL_MAX) == 0, "HCALL_COUNT");
_Static_assert(HC_NORESULT == HCALL_NORESULT && WHO_ANY == 0 && ENOSYS == -ERR_NOSYS, "hcall.h");
_Static_assert(offsetof(struct vcpu_info, evtchn_upcall_pending) == 0 &&
                   offsetof(struct vcpu_info, evtchn_upcall_mask) == 1,
               "the exit path reads both at once");

#define SYMBOL(name, type, field)                                    \
    __asm__ volatile(".globl " name "\n.hidden " name "\n.set " name \
                     ", %c0" ::"i"(offsetof(struct type, field)))

void x86_offsets(void);

/* Never called: carries the definitions. */
void x86_offsets(void)
{
    SYMBOL("VCPU_INFO", vcpu, info);
    SYMBOL("VCPU_KERNEL_MODE", vcpu, arch.kernel_mode);
}
