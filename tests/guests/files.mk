# SPDX-License-Identifier: MIT
# Test guests: freestanding PV kernels, booted straight from the loader in place of a dom0 kernel.
# One name per guest; its code is tests/guests/<name>/main.c.
guests-y := hello hcalls traps events grants mmu-basic mmu-bad ptwrite timer fpu sched smp nmi stress control published longest
# Attacks: they run as guests of an ordinary domain 0 (tests/system: group `attacks`).
attacks-y := addresses crashes descriptors floods frames instructions leftovers numbers owner ports races registers rights rings steps \
             tables timers trees
guests-y += $(attacks-y:%=attack/%)

# Also linked to lie at 1 MiB, with a virtual base of 0 and few notes.
guests-low-y := hello traps published

guest-kit-y := start.o main.o print.o mem.o spare.o trap.o event.o time.o smp.o

guest-out  := $(O)/guests
guest-kit  := $(guest-kit-y:%=$(guest-out)/kit/%)
guests-low := $(guests-low-y:%=$(guest-out)/low/%.elf)
guests-all := $(guests-y:%=$(guest-out)/%.elf) $(guests-low)
guest-lds  := tests/guests/kit/link.lds

guest-flags := -std=gnu17 -O2 -g -ffreestanding -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-pic \
               -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-strict-aliasing \
               -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Werror -I tests/guests -I xen-core

$(guest-out)/%.o: tests/guests/%.c
	$(call say,GUEST CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(guest-flags) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(guest-out)/%.o: tests/guests/%.S
	$(call say,GUEST AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(guest-flags) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(guest-out)/low/%.o: tests/guests/%.c
	$(call say,GUEST CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(guest-flags) -DKIT_LOW -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(guest-out)/low/%.o: tests/guests/%.S
	$(call say,GUEST AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(guest-flags) -DKIT_LOW -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(guests-low): $(guest-out)/low/%.elf: $(guest-out)/low/%/main.o $(guest-kit-y:%=$(guest-out)/low/kit/%) $(guest-lds)
	$(call say,GUEST LD,$@)
	$(Q)$(LD) -nostdlib -static --no-warn-rwx-segments -z noexecstack --defsym=kit_low=1 -T $(guest-lds) -o $@ $(filter %.o,$^)

$(guests-y:%=$(guest-out)/%.elf): $(guest-out)/%.elf: $(guest-out)/%/main.o $(guest-kit) $(guest-lds)
	$(call say,GUEST LD,$@)
	$(Q)$(LD) -nostdlib -static --no-warn-rwx-segments -z noexecstack -T $(guest-lds) -o $@ $(guest-kit) $<

guests: $(guests-all)
.PHONY: guests
