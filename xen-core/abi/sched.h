/* SPDX-License-Identifier: MIT */
/* Scheduling calls and shutdown reasons. Facts: Xen 4.17 public sched.h. */
#pragma once

#include "abi/types.h"

#define SCHEDOP_yield           0
#define SCHEDOP_block           1
#define SCHEDOP_shutdown        2
#define SCHEDOP_poll            3
#define SCHEDOP_remote_shutdown 4
#define SCHEDOP_shutdown_code   5
#define SCHEDOP_watchdog        6
#define SCHEDOP_pin_override    7

#define SHUTDOWN_poweroff   0
#define SHUTDOWN_reboot     1
#define SHUTDOWN_suspend    2
#define SHUTDOWN_crash      3
#define SHUTDOWN_watchdog   4
#define SHUTDOWN_soft_reset 5
#define SHUTDOWN_MAX        5

struct sched_shutdown {
    uint32_t reason;
};
_Static_assert(sizeof(struct sched_shutdown) == 4, "sched_shutdown");

struct sched_poll {
    gptr_t ports; /* evtchn_port_t[nr_ports] */
    uint32_t nr_ports;
    uint64_t timeout; /* system time in ns; 0: none */
};
_Static_assert(sizeof(struct sched_poll) == 24, "sched_poll");

struct sched_remote_shutdown {
    domid_t domain_id;
    uint32_t reason;
};
_Static_assert(sizeof(struct sched_remote_shutdown) == 8, "sched_remote_shutdown");

struct sched_watchdog {
    uint32_t id;      /* 0: a new one */
    uint32_t timeout; /* seconds; 0: stop */
};
_Static_assert(sizeof(struct sched_watchdog) == 8, "sched_watchdog");

struct sched_pin_override {
    int32_t pcpu; /* negative: as before */
};
_Static_assert(sizeof(struct sched_pin_override) == 4, "sched_pin_override");
