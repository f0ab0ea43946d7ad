# SPDX-License-Identifier: MIT
# Makers of disk images: they need no hypervisor and are part of the command line client.
image-y := $(addprefix dom0-tools/image/,work.o guard.o progress.o ext4.o aptconf.o debian.o cpio.o ramdisk.o rootfs.o)

tool-unit-y += test_image
unit-test_image-objs := $(image-y)
unit-test_image-ldlibs := -lcrypt
