# SPDX-License-Identifier: MIT
core-y += $(addprefix xen-core/base/, lock.o log.o panic.o timer.o console.o counter.o)
