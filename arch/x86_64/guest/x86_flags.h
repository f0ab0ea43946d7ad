/* SPDX-License-Identifier: MIT */
/* Bits of RFLAGS, CR0, CR4, DR6, DR7 and of the trap table.  SDM vol. 1 section 3.4.3, vol.
 * 3A 2.5, 17.2. */
#pragma once

#include <stdint.h>

#define RFLAGS_FIXED      UINT64_C(0x2)
#define RFLAGS_TF         (UINT64_C(1) << 8)
#define RFLAGS_IF         (UINT64_C(1) << 9)
#define RFLAGS_DF         (UINT64_C(1) << 10)
#define RFLAGS_IOPL       (UINT64_C(3) << 12)
#define RFLAGS_IOPL_SHIFT 12
#define RFLAGS_NT         (UINT64_C(1) << 14)
#define RFLAGS_RF         (UINT64_C(1) << 16)
#define RFLAGS_VM         (UINT64_C(1) << 17)
#define RFLAGS_AC         (UINT64_C(1) << 18)
/* What a guest may choose: arithmetic flags, TF, DF, NT, RF, AC, ID. */
#define RFLAGS_GUEST UINT64_C(0x254dd5)

#define CR0_PE (UINT64_C(1) << 0)
#define CR0_MP (UINT64_C(1) << 1)
#define CR0_EM (UINT64_C(1) << 2)
#define CR0_TS (UINT64_C(1) << 3)
#define CR0_ET (UINT64_C(1) << 4)
#define CR0_NE (UINT64_C(1) << 5)
#define CR0_WP (UINT64_C(1) << 16)
#define CR0_AM (UINT64_C(1) << 18)
#define CR0_PG (UINT64_C(1) << 31)

#define CR4_TSD        (UINT64_C(1) << 2)
#define CR4_DE         (UINT64_C(1) << 3)
#define CR4_PAE        (UINT64_C(1) << 5)
#define CR4_MCE        (UINT64_C(1) << 6)
#define CR4_PGE        (UINT64_C(1) << 7)
#define CR4_OSFXSR     (UINT64_C(1) << 9)
#define CR4_OSXMMEXCPT (UINT64_C(1) << 10)
#define CR4_UMIP       (UINT64_C(1) << 11)
#define CR4_FSGSBASE   (UINT64_C(1) << 16)
#define CR4_OSXSAVE    (UINT64_C(1) << 18)
#define CR4_SMEP       (UINT64_C(1) << 20)
#define CR4_SMAP       (UINT64_C(1) << 21)
#define CR4_PKE        (UINT64_C(1) << 22)

#define DR6_DEFAULT UINT64_C(0xffff0ff0)
#define DR6_STATUS  UINT64_C(0x0000e00f)
#define DR7_DEFAULT UINT64_C(0x00000400)
#define DR7_ENABLES UINT64_C(0x000000ff)

#define VEC_NMI 2u /* vector of the non-maskable interrupt */

/* trap_info.flags */
#define TI_DPL         3u
#define TI_MASK_EVENTS 4u

/* Linux's selector of 32-bit user code; SYSRET rules treat it as compatibility mode. */
#define USER_CS32_LINUX 0x23u
