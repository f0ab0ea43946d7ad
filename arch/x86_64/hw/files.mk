# SPDX-License-Identifier: MIT
hw-y += $(addprefix arch/x86_64/hw/, \
    head.o entry.o guard.o guard_entry.o thunk.o offsets.o seg.o trap.o backtrace.o paging.o percpu.o copy.o tlb.o smp.o cpu.o xstate.o vcpu_hw.o prim.o pio.o \
    lapic.o ioapic.o tsc.o msi.o pci_cfg.o efi_rt.o power.o)
hw-y += arch/x86_64/platform.o
