# SPDX-License-Identifier: MIT
drv-y += drivers/ns16550.o
drv-host-y += drivers/acpi.o drivers/efifb.o drivers/font.o
