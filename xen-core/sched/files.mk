# SPDX-License-Identifier: MIT
# The scheduler, guests' clocks, sched_op.
core-y += xen-core/sched/sched.o xen-core/sched/runq.o xen-core/sched/sched_op.o xen-core/sched/systime.o
