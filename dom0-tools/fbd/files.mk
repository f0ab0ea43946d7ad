# SPDX-License-Identifier: MIT
# joist-fbd, the screen and keyboard of one guest. fbd-core-y is what is tested without VNC.
fbd-core-y := $(addprefix dom0-tools/fbd/,guestfb.o guestkbd.o keymap.o shadow.o)

tools-y += joist-fbd
tool-joist-fbd-y := $(addprefix dom0-tools/fbd/,main.o confine.o control.o listen.o vnc.o) $(fbd-core-y) \
    $(libjoist-y) $(libjoist-port-y)
tool-joist-fbd-ldlibs := -lvncserver $(libjoist-ldlibs)

fbd-test-objs := tests/unit/fbd_kit.o $(fbd-core-y) $(libjoist-y)
tool-unit-y += test_fbd
unit-test_fbd-objs := $(fbd-test-objs)

fuzz-y += fuzz_fbd
fuzz-fuzz_fbd-objs := $(fbd-test-objs)
fuzz-fuzz_fbd-lib = $(O)/libtools-host.a

tool-unit-y += test_fbd_vnc
unit-test_fbd_vnc-objs := $(fbd-test-objs) $(addprefix dom0-tools/fbd/,control.o confine.o listen.o vnc.o)
unit-test_fbd_vnc-ldlibs := -lvncserver
