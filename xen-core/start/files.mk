# SPDX-License-Identifier: MIT
core-y += $(addprefix xen-core/start/, main.o boot_info.o cmdline.o dom0.o)
