# SPDX-License-Identifier: MIT
# What every daemon links.
tools-common-y += dom0-tools/common/buf.o dom0-tools/common/daemon.o dom0-tools/common/evloop.o \
    dom0-tools/common/log.o dom0-tools/common/program.o

tool-unit-y += test_log
