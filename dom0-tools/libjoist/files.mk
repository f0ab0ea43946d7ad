# SPDX-License-Identifier: MIT
# The tool library. A test that brings its own seam leaves out libjoist-port-y.
libjoist-y += dom0-tools/libjoist/call.o dom0-tools/libjoist/err.o dom0-tools/libjoist/evtchn.o \
    dom0-tools/libjoist/foreign.o dom0-tools/libjoist/gnttab.o dom0-tools/libjoist/handle.o
libjoist-port-y := dom0-tools/libjoist/port_xen.o
libjoist-ldlibs := -lxencall -lxenevtchn -lxengnttab -lxenforeignmemory
