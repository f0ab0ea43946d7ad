# SPDX-License-Identifier: MIT
# joistd, the daemon that owns domains.
tools-common-y += dom0-tools/common/fail.o

tool-unit-y += test_config
unit-test_config-objs := dom0-tools/joistd/config.o dom0-tools/joistd/xlcfg.o
unit-test_config-ldlibs := -ljansson
