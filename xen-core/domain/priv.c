/* SPDX-License-Identifier: MIT */
/* Who may act on whom. */
#include "domain/priv.h"

#include "abi/errno.h"
#include "domain/domain.h"

/* On itself everybody may act, on others only the control domain. fails: -EPERM. */
int priv_check_target(const struct vcpu *v, const struct domain *target)
{
    return (target == v->d || v->d->is_ctl) ? 0 : -EPERM;
}
