# SPDX-License-Identifier: MIT
# Benchmarks: the measuring guest and the user-space programs that run in the domains.
bench-out := $(O)/bench
bench-all := $(bench-out)/micro.elf $(bench-out)/pingpong $(bench-out)/clocks $(bench-out)/unixcat

bench-guest-flags := -std=gnu17 -O2 -g -ffreestanding -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-pic \
                     -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-strict-aliasing \
                     -Wall -Wextra -Wno-main -Wno-missing-field-initializers -Werror

$(bench-out)/micro/%.o: tests/bench/micro/%
	$(call say,BENCH CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(bench-guest-flags) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(bench-out)/micro.elf: $(bench-out)/micro/start.S.o $(bench-out)/micro/micro.c.o tests/bench/micro/link.lds
	$(call say,BENCH LD,$@)
	$(Q)$(LD) -nostdlib -static --no-warn-rwx-segments -z noexecstack -T tests/bench/micro/link.lds -o $@ \
	    $(filter %.o,$^)

$(bench-out)/pingpong $(bench-out)/clocks $(bench-out)/unixcat: $(bench-out)/%: tests/bench/%.c
	$(call say,BENCH CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -o $@ $<

benches: $(bench-all)
.PHONY: benches
