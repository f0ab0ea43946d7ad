# SPDX-License-Identifier: MIT
# Interrupts and rights to the machine.
core-y += xen-core/irq/irq.o xen-core/irq/pirq.o xen-core/irq/rights.o
