# SPDX-License-Identifier: MIT
# The first process of a guest of `joist run`, linked statically.
tools-y += joist-run-init
tool-joist-run-init-y := dom0-tools/run/init.o
tool-joist-run-init-link := -static-pie -Wl,-z,relro,-z,now -Wl,--build-id=none
