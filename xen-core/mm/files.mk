# SPDX-License-Identifier: MIT
# Frames, heap, pools.
core-y += $(addprefix xen-core/mm/, boot_alloc.o frame.o heap.o pool.o)
