/* SPDX-License-Identifier: MIT */
/* Who may do what to whom: one place. */
#pragma once

#include "abi/types.h"

struct domain;
struct vcpu;

/* May v's domain act on target's memory, events and grants on its behalf? 0 or -EPERM. (Self or
 * control domain.) */
int priv_check_target(const struct vcpu *v, const struct domain *target);
