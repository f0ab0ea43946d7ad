# SPDX-License-Identifier: MIT
# The loader. cfg.c, dom0mem.c and memmap.c are pure and also in the host library, for their tests.
efi-y += arch/efi/main.o arch/efi/console.o arch/efi/files.o arch/efi/unpack.o arch/efi/libc.o arch/efi/machine.o
efi-y += arch/efi/cfg.o arch/efi/memmap.o arch/efi/dom0mem.o
efi-y += arch/efi/x86_64/handover.o arch/efi/x86_64/jump.o
efi-y += $(lib-y) $(free-y)
host-y += arch/efi/cfg.o arch/efi/memmap.o arch/efi/dom0mem.o
