# SPDX-License-Identifier: MIT
# Pure functions shared by hypervisor, loader, tools and host tests. mem.c is for freestanding links only.
lib-y += xen-core/lib/bzimage.o xen-core/lib/elf.o xen-core/lib/fmt.o xen-core/lib/kv.o
lib-y += xen-core/lib/pvplan.o xen-core/lib/str.o
free-y += xen-core/lib/mem.o
cflags-xen-core/lib/mem.o := -fno-builtin $(if $(IS_CLANG),,-fno-tree-loop-distribute-patterns)
