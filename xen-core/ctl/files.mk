# SPDX-License-Identifier: MIT
# The control interface.
core-y += $(addprefix xen-core/ctl/, ctl.o ctl_bitmap.o debug_keys.o domctl_life.o domctl_vcpu.o domctl_mem.o sysctl_host.o sysctl_perfc.o sysctl_sched.o)
