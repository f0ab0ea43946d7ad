# SPDX-License-Identifier: MIT
# The third port: a machine made of one process.
host-y += $(addprefix arch/host/, machine.o port_copy.o port_cpu.o port_irq.o port_mmu.o port_time.o prim.o)
