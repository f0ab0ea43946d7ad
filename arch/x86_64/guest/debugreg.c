/* SPDX-License-Identifier: MIT */
/* Debug registers of a guest: what it may set, so that a breakpoint never hits the hypervisor.  SDM
 * vol. 3B section 17.2. */
#include "guest/trap.h"
#include "guest/debugreg.h"

#include "domain/domain.h"
#include "domain/vcpu.h"
#include "abi/errno.h"
#include "cpu/msr.h"
#include "guest/pte.h"
#include "guest/x86_flags.h"

#define DR7_GD       (UINT64_C(1) << 13)
#define DR7_RTM      (UINT64_C(1) << 11)
#define DR7_RESERVED UINT64_C(0xffffffff0000d800) /* bits 11, 12, 14, 15 and the upper half */

/* Type and length fields of breakpoint n start at bit 16 + 4n; type 2 is an I/O breakpoint. */
static bool dr7_has_io(uint64_t dr7)
{
    for (unsigned int n = 0; n < 4; n++) {
        if ((dr7 >> (2 * n) & 3) && (dr7 >> (16 + 4 * n) & 3) == 2) {
            return true;
        }
    }
    return false;
}

int debugreg_check(const struct vcpu *v, unsigned int nr, uint64_t *val)
{
    switch (nr) {
    case 0:
    case 1:
    case 2:
    case 3:
        return va_guest_ok(*val) ? 0 : -EPERM;
    case 6:
        *val = (*val & DR6_STATUS) | DR6_DEFAULT;
        return 0;
    case 7:
        if (*val & DR7_GD) {
            return -EPERM;
        }
        *val = (*val & ~DR7_RESERVED) | DR7_DEFAULT;
        if (dr7_has_io(*val) && !(v->arch.cr4 & CR4_DE)) {
            return -EPERM;
        }
        return 0;
    default:
        return -ENODEV;
    }
}

/* Set register nr (0-3, 6, 7) of the loaded vcpu: 0, -ENODEV, -EPERM. */
int debugreg_set(struct vcpu *v, uint64_t nr, uint64_t val)
{
    if (nr > 7) {
        return -ENODEV;
    }
    int rc = debugreg_check(v, (unsigned int)nr, &val);
    if (rc != 0) {
        return rc;
    }
    nr &= 7; /* in bounds for speculation, too */
    v->arch.dr[nr] = val;
    if (nr == 6) {
        return 0; /* the processor's own is cleared at each #DB; the guest reads ours */
    }
    /* Addresses first: an enabled breakpoint never has an unchecked one. */
    if (nr == 7 && (val & DR7_ENABLES)) {
        for (unsigned int i = 0; i < 4; i++) {
            cpu_set_dr(i, v->arch.dr[i]);
        }
    }
    if (nr == 7 || (v->arch.dr[7] & DR7_ENABLES)) {
        cpu_set_dr((unsigned int)nr, val);
    }
    return 0;
}

int64_t hc_set_debugreg(struct vcpu *v, struct hcall_args *a)
{
    return debugreg_set(v, a->arg[0], a->arg[1]);
}

int64_t hc_get_debugreg(struct vcpu *v, struct hcall_args *a)
{
    uint64_t nr = a->arg[0];

    if (nr > 7 || nr == 4 || nr == 5) {
        return -ENODEV;
    }
    return (int64_t)v->arch.dr[nr & 7];
}
