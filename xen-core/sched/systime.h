/* SPDX-License-Identifier: MIT */
/* Guests' clocks: vcpu_time_info in shared_info, wall clock, singleshot and periodic timers. */
#pragma once

#include <stdint.h>

struct vcpu;
struct domain;

/* Refresh v's vcpu_time_info (and its registered copy): v is loaded on this cpu. */
void systime_update(struct vcpu *v);
/* Write the wall clock into d's shared_info. */
void systime_wallclock_update(struct domain *d);
/* XENPF_settime: wall = seconds+ns at system_time; updates every domain. */
void systime_wallclock_set(uint64_t sec, uint32_t nsec, uint64_t system_time);
/* Seconds since 1970 now, for logs and control calls. */
uint64_t systime_wall_now(void);
/* Absolute ns on the hypervisor's clock; 0 disarms. */
void systime_singleshot_set(struct vcpu *v, uint64_t when);
int64_t systime_periodic_set(struct vcpu *v, uint64_t period_ns); /* 0 stops; -EINVAL under 1 ms */
void systime_vcpu_init(struct vcpu *v);
void systime_vcpu_destroy(struct vcpu *v);
