# SPDX-License-Identifier: MIT
# Hypercalls: dispatch, and the calls that belong to no other room.
core-y += xen-core/hcall/measure.o
core-y += xen-core/hcall/mem_exchange.o
core-y += xen-core/hcall/mem_op.o
core-y += xen-core/hcall/misc_op.o
core-y += xen-core/hcall/multicall.o
core-y += xen-core/hcall/hcall.o
