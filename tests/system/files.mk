# SPDX-License-Identifier: MIT
# Programs of the scenarios that run inside the domains.
system-progs := $(O)/system/netprobe $(O)/system/badfront

$(O)/system/%: tests/system/%.c
	$(call say,SYSTEM CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -o $@ $<

system-progs: $(system-progs)
.PHONY: system-progs
