# SPDX-License-Identifier: MIT
# Kernel and ramdisk from inside a guest's disk: joistd's side, and the sandboxed reader.
boot-y := $(addprefix dom0-tools/boot/,boot.o identify.o)

tools-y += joist-extract
tool-joist-extract-y := dom0-tools/boot/extract.o dom0-tools/boot/identify.o
tool-joist-extract-ldlibs := -lext2fs -lcom_err -lseccomp
cflags-dom0-tools/boot/extract.o := -Wno-conversion -Wno-sign-conversion

tool-unit-y += test_boot
unit-test_boot-objs := $(boot-y)
$(O)/unit/test_boot: | $(O)/tools/joist-extract
