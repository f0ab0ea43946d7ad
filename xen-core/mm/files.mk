# SPDX-License-Identifier: MIT
# Frames, heap, pools.
core-y += $(addprefix xen-core/mm/, audit.o boot_alloc.o frame.o heap.o pool.o)
