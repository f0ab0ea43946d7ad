# SPDX-License-Identifier: MIT
# The first process of a guest of `joist run`, linked statically, and what both ends of its console agree on.
tools-y += joist-run-init
tool-joist-run-init-y := dom0-tools/run/init.o dom0-tools/run/wire.o
tool-joist-run-init-link := -static-pie -Wl,-z,relro,-z,now -Wl,--build-id=none

tool-unit-y += test_run
unit-test_run-objs := dom0-tools/run/wire.o dom0-tools/cli/run_stream.o
