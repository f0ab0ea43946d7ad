# SPDX-License-Identifier: MIT
# The one makefile of Joist. Directories list their objects in files.mk; nothing is globbed.
#
#   make               build/joist.efi, build/joist.elf and the tools       make run       the demonstration
#   make check         lint and host tests, fast                            make test      everything, short form
#   make lint unit unit-tsan check-cli fuzz-smoke all-configs check-build check-qemu check-system           the stages of make test
#   make fuzz T=60      fuzzers by coverage            make fuzz-corpus   what they found, kept       make coverage
#   make menuconfig    choose options                                       make install   DESTDIR=
#
# Variables: O= build directory, V=1 shows commands, CC=gcc|clang, KCONFIG_CONFIG= file of options.
#
# What a files.mk adds to (paths from the top, ending in .o):
#   core-y guest-y lib-y       in the hypervisor and in the host library        hw-y     hypervisor only (.c and .S)
#   free-y                     freestanding links only (memcpy and friends)      host-y   host library only
#   drv-y                      drivers, hypervisor only                          drv-host-y  drivers, in both
#   efi-y                      the loader                       tools-y          names of programs; for each:
#   tools-common-y             archive that every program links    tool-NAME-y objects, tool-NAME-ldlibs libraries,
#                                                                  tool-NAME-dir (bin, or libexec if not given)
#   unit-y, tool-unit-y        tests: NAME is tests/unit/NAME.c, linked with the host library or the tools' objects;
#                              unit-NAME-objs unit-NAME-ldlibs unit-NAME-src (another main source)
#   tsan-y                     those of them with threads
#   fuzz-y                     fuzzers: NAME is tests/fuzz/NAME.c; fuzz-NAME-objs
#   guests-y                   freestanding test guests, by the rules of tests/guests/files.mk
#   cflags-OBJECT              extra flags of one object, for instance cflags-tests/unit/a.o := -DX

MAKEFLAGS += -rR --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
SHELL := /bin/sh

O ?= build
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),@:,@printf '  %-8s %s\n' '$(1)' '$(2)')

ifneq ($(filter default undefined,$(origin CC)),)
CC := gcc
endif
LD := ld
AR := ar
NM := nm
OBJCOPY := objcopy
PYTHON ?= python3
KCONFIG_CONFIG ?= .config
export KCONFIG_CONFIG
export LC_ALL := C

, := ,
VERSION := $(shell cat VERSION)
IS_CLANG := $(if $(findstring clang,$(shell $(CC) --version 2>/dev/null | head -n 1)),1,)

all: hypervisor tools

# ---- lists -------------------------------------------------------------------------------------------------------

rooms := xen-core/abi xen-core/lib xen-core/base xen-core/mm xen-core/domain xen-core/sched xen-core/evtchn \
         xen-core/gnttab xen-core/irq xen-core/hcall xen-core/ctl xen-core/start xen-core \
         arch/x86_64 arch/x86_64/hw arch/x86_64/guest arch/host arch/efi drivers \
         dom0-tools dom0-tools/common dom0-tools/libjoist dom0-tools/stored dom0-tools/consoled \
         dom0-tools/boot dom0-tools/image dom0-tools/run \
         dom0-tools/fbd dom0-tools/joistd dom0-tools/build dom0-tools/cli dom0-tools/stream dom0-tools/etc \
         tests tests/unit tests/fuzz tests/onebox tests/guests tests/qemu tests/system tests/bench tests/cli \
         tests/efi scripts

no-config-goals := clean menuconfig defconfig olddefconfig format help
ifneq ($(filter-out $(no-config-goals),$(or $(MAKECMDGOALS),all)),)
-include $(O)/gen/config.mk
endif
-include $(rooms:%=%/files.mk)

# ---- flags -------------------------------------------------------------------------------------------------------

warnings := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wmissing-prototypes -Werror
includes := -I $(O)/gen -I xen-core -I arch/x86_64 -I .
common   := -std=gnu17 -g -ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(abspath $(O))/=build/ -ffile-prefix-map=$(O)/=build/ $(warnings)
depend    = -MMD -MP -MF $(@:.o=.d)

hv-flags := $(common) $(includes) -I arch/x86_64/hw/inline -include scripts/hidden.h -O2 -ffreestanding -fpie -fvisibility=hidden \
            -mcmodel=small -mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
            -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-delete-null-pointer-checks \
            -fomit-frame-pointer -fno-common -fbuiltin
# Indirect branches go through thunk.S, where the processor's predictions cannot be trusted.
hv-flags += -fno-jump-tables $(if $(IS_CLANG),-mretpoline -mretpoline-external-thunk,\
            -mindirect-branch=thunk-extern -mindirect-branch-register -mharden-sls=all)
hv-as-flags := $(includes) -I arch/x86_64/hw/inline -g -ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(abspath $(O))/=build/ -ffile-prefix-map=$(O)/=build/ -D__ASSEMBLY__ \
            -fcf-protection=none -Wa,--noexecstack

# The address sanitizer reads /proc, which a bare chroot does not have: there undefined behaviour still traps.
sanitize := $(if $(wildcard /proc/self/task),-fsanitize=address$(,)undefined -fno-sanitize-recover=all,\
            -fsanitize=undefined -fsanitize-undefined-trap-on-error)
# `make unit-tsan` builds the threaded tests once more, with a tenth of their rounds.
ifeq ($(TSAN),1)
sanitize := -fsanitize=thread
endif
host-flags := $(common) $(includes) -I arch/host/inline -I dom0-tools -I tests/unit -D_GNU_SOURCE -O1 -fno-omit-frame-pointer \
            -fno-strict-aliasing $(sanitize)
host-libs := $(sanitize) -lpthread -lm
# `make fuzz` builds the fuzzers once more, in a directory of their own, for libFuzzer; `make coverage` the unit tests.
ifeq ($(FUZZER),1)
host-flags += -fsanitize=fuzzer-no-link -Wno-string-concatenation
endif
ifeq ($(COVERAGE),1)
host-flags := $(filter-out $(sanitize) -O1,$(host-flags)) -O0 -Wno-error -fprofile-arcs -ftest-coverage -fprofile-update=atomic
host-libs := --coverage -lpthread -lm
endif

tool-flags := $(common) -I $(O)/gen -I xen-core -I dom0-tools -I . -D_GNU_SOURCE -O2 -fPIE -fstack-protector-strong \
            -D_FORTIFY_SOURCE=2 -fno-strict-aliasing
tool-link := -pie -Wl,-z,relro,-z,now -Wl,--build-id=none -Wl,--as-needed

# ---- options -----------------------------------------------------------------------------------------------------

$(KCONFIG_CONFIG):
	$(call say,CONFIG,$@)
	@command -v kconfig-conf >/dev/null || { echo 'kconfig-conf is missing: run scripts/setup'; exit 1; }
	@mkdir -p $(dir $@)
	$(Q)kconfig-conf --alldefconfig Kconfig >/dev/null

$(O)/gen/config.h: $(KCONFIG_CONFIG) Kconfig scripts/mkconfig.py
	@mkdir -p $(O)/gen
	$(Q)kconfig-conf --olddefconfig Kconfig >/dev/null
	$(Q)$(PYTHON) scripts/mkconfig.py Kconfig $(KCONFIG_CONFIG) $(O)/gen/config.h $(O)/gen/config.mk

$(O)/gen/config.mk: $(O)/gen/config.h
	@touch $@

$(O)/gen/version.h: VERSION
	@mkdir -p $(O)/gen
	@printf '/* SPDX-License-Identifier: MIT */\n/* Generated: the version. */\n#pragma once\n#define JOIST_VERSION "%s"\n' \
	    '$(VERSION)' > $@

generated := $(O)/gen/config.h $(O)/gen/version.h

menuconfig:
	@command -v kconfig-mconf >/dev/null || { echo 'kconfig-mconf is missing: run scripts/setup'; exit 1; }
	kconfig-mconf Kconfig

defconfig:
	kconfig-conf --alldefconfig Kconfig

olddefconfig:
	kconfig-conf --olddefconfig Kconfig

# ---- hypervisor --------------------------------------------------------------------------------------------------

hv-all-y := $(sort $(core-y) $(guest-y) $(lib-y) $(free-y) $(drv-y) $(drv-host-y) $(hw-y))
hv-objs  := $(hv-all-y:%=$(O)/hv/%)
hv-lds   := arch/x86_64/hw/joist.lds

$(O)/hv/%.o: %.c | $(generated)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(hv-flags) $(cflags-$*.o) $(depend) -c $< -o $@

$(O)/hv/%.o: %.S | $(generated)
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(hv-as-flags) $(cflags-$*.o) $(depend) -c $< -o $@

hv-link = $(LD) -static -no-pie --no-dynamic-linker -z noexecstack -z max-page-size=4096 --build-id=none \
          -T $(O)/hv/joist.lds -o $@

$(O)/hv/joist.lds: $(hv-lds) | $(generated)
	@mkdir -p $(@D)
	$(Q)$(CC) -E -P -x c $(includes) -D__ASSEMBLY__ -D__LINKER__ -MMD -MP -MF $@.d -MT $@ $< -o $@

define link-pass # number, nm output to make the table from
$(O)/hv/syms$(1).S: $(2) scripts/mksyms.py
	@mkdir -p $$(@D)
	$$(Q)$$(PYTHON) scripts/mksyms.py $(2) $$@

$(O)/hv/syms$(1).o: $(O)/hv/syms$(1).S
	$$(Q)$$(CC) -c $$< -o $$@

$(O)/hv/pass$(1).elf: $$(hv-objs) $(O)/hv/syms$(1).o $(O)/hv/joist.lds
	$$(call say,LD,$$@)
	$$(Q)$$(hv-link) $$(hv-objs) $(O)/hv/syms$(1).o

$(O)/hv/pass$(1).nm: $(O)/hv/pass$(1).elf
	$$(Q)$$(NM) $$< > $$@
endef

$(O)/hv/pass0.nm:
	@mkdir -p $(@D)
	@: > $@

$(eval $(call link-pass,1,$(O)/hv/pass0.nm))
$(eval $(call link-pass,2,$(O)/hv/pass1.nm))
$(eval $(call link-pass,3,$(O)/hv/pass2.nm))

# The table's own size moves what follows it: the second link settles addresses, the third must find them unchanged.
$(O)/joist.elf: $(O)/hv/pass3.elf $(O)/hv/pass2.nm $(O)/hv/pass3.nm scripts/checkelf.py
	@cmp -s $(O)/hv/pass2.nm $(O)/hv/pass3.nm || { echo 'symbol table does not settle'; exit 1; }
	$(Q)$(PYTHON) scripts/checkelf.py $<
	$(Q)cp $< $@

$(O)/joist-syms: $(O)/hv/pass3.nm
	$(Q)sort $< > $@

# ---- loader ------------------------------------------------------------------------------------------------------

efi-flags := $(common) -isystem /usr/include/efi -isystem /usr/include/efi/x86_64 $(includes) -O2 -fpic -ffreestanding \
             -fno-stack-protector -fcf-protection=none -fno-strict-aliasing -mno-red-zone -maccumulate-outgoing-args \
             -fshort-wchar -fno-asynchronous-unwind-tables -DGNU_EFI_USE_MS_ABI -mgeneral-regs-only
efi-flags := $(if $(IS_CLANG),$(filter-out -maccumulate-outgoing-args,$(efi-flags)),$(efi-flags))
efi-objs  := $(patsubst %,$(O)/efi/%,$(sort $(efi-y)))
efi-libs   = -l:liblzma.a -l:libzstd.a -l:liblz4.a -l:libz.a
EFI_PAYLOAD ?= $(O)/joist.elf

$(O)/efi/%.o: %.c | $(generated)
	$(call say,EFI CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(efi-flags) $(cflags-efi-$*.o) $(depend) -c $< -o $@

$(O)/efi/%.o: %.S | $(generated)
	$(call say,EFI AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(hv-as-flags) $(depend) -c $< -o $@

$(O)/efi/%/payload.o: %
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) -S $< $(@:.o=.elf)
	$(Q)printf '.section .payload,"a"\n.balign 4096\n.globl payload_start,payload_end\n.hidden payload_start,payload_end\n%s\n' \
	    'payload_start: .incbin "$(@:.o=.elf)"; payload_end: .section .note.GNU-stack,"",@progbits' | \
	    $(CC) -c -x assembler - -o $@

$(O)/efi/%/joist.so: $(efi-objs) $(O)/efi/%/payload.o arch/efi/joist-efi.lds
	$(call say,EFI LD,$@)
	$(Q)$(LD) -nostdlib -znocombreloc -shared -Bsymbolic --no-undefined --no-warn-rwx-segments --build-id=none -z noexecstack -L /usr/lib \
	    -L $(shell $(CC) -print-file-name=.) -L /usr/lib/$(shell $(CC) -print-multiarch 2>/dev/null || echo x86_64-linux-gnu) \
	    -T arch/efi/joist-efi.lds /usr/lib/crt0-efi-x86_64.o $(efi-objs) $(O)/efi/$*/payload.o \
	    $(efi-libs) -l:libefi.a -l:libgnuefi.a $(shell $(CC) -print-libgcc-file-name) -o $@

# A loader with another payload: make $(O)/efi/PATH/OF/PAYLOAD/joist.efi
$(O)/efi/%/joist.efi: $(O)/efi/%/joist.so scripts/pefix.py
	$(call say,OBJCOPY,$@)
	$(Q)$(OBJCOPY) -j .text -j .sdata -j .data -j .dynamic -j .rodata -j .payload -j .rel -j .rela -j .rel.* -j .rela.* \
	    -j .reloc --target efi-app-x86_64 --subsystem=10 $< $@
	$(Q)$(PYTHON) scripts/pefix.py $@

$(O)/joist.efi: $(O)/efi/$(EFI_PAYLOAD)/joist.efi
	$(Q)cp $< $@

hypervisor: $(if $(efi-y),$(if $(wildcard $(hv-lds)),$(O)/joist.efi)) $(if $(wildcard $(hv-lds)),$(O)/joist.elf $(O)/joist-syms)

# ---- host library ------------------------------------------------------------------------------------------------

host-all-y := $(sort $(core-y) $(guest-y) $(lib-y) $(drv-host-y) $(host-y))
host-objs  := $(host-all-y:%=$(O)/host/%)

$(O)/host/%.o: %.c | $(generated)
	$(call say,HOST CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(host-flags) $(cflags-$*.o) $(depend) -c $< -o $@

$(O)/libcore-host.a: $(host-objs)
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcsD $@ $^

# ---- tools -------------------------------------------------------------------------------------------------------

tool-lib-objs  := $(patsubst %,$(O)/tool/%,$(sort $(tools-common-y) $(lib-y)))
tool-host-objs := $(patsubst %,$(O)/host/%,$(sort $(tools-common-y) $(lib-y)))
tools-bin      := $(tools-y:%=$(O)/tools/%)

$(O)/tool/%.o: %.c | $(generated)
	$(call say,TOOL CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(tool-flags) $(cflags-$*.o) $(depend) -c $< -o $@

$(O)/libtools.a: $(tool-lib-objs)
	$(Q)rm -f $@
	$(Q)$(AR) rcsD $@ $^

$(O)/libtools-host.a: $(tool-host-objs)
	$(Q)rm -f $@
	$(Q)$(AR) rcsD $@ $^

define tool-rule # name
$(O)/tools/$(1): $$(patsubst %,$(O)/tool/%,$$(sort $$(tool-$(1)-y))) $(O)/libtools.a
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(or $$(tool-$(1)-link),$$(tool-link)) $$^ $$(tool-$(1)-ldlibs) -o $$@
endef
$(foreach t,$(tools-y),$(eval $(call tool-rule,$(t))))

tools: $(tools-bin)

# ---- host tests --------------------------------------------------------------------------------------------------

define unit-rule # name, library
$(O)/unit/$(1): $$(patsubst %.c,$(O)/host/%.o,$$(or $$(unit-$(1)-src),tests/unit/$(1).c)) \
    $$(patsubst %,$(O)/host/%,$$(unit-$(1)-objs)) $(2)
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$^ $$(unit-$(1)-ldlibs) -lcmocka $(host-libs) -o $$@
endef
$(foreach t,$(unit-y),$(eval $(call unit-rule,$(t),$(O)/libcore-host.a)))
$(foreach t,$(tool-unit-y),$(eval $(call unit-rule,$(t),$(O)/libtools-host.a)))

define fuzz-rule # name
$(O)/fuzz/$(1): $(O)/host/tests/fuzz/$(1).o $(O)/host/tests/fuzz/$(if $(FUZZER),libfuzzer,drive).o $(O)/host/tests/fuzz/pack.o $$(patsubst %,$(O)/host/%,$$(fuzz-$(1)-objs)) \
    $$(or $$(fuzz-$(1)-lib),$(O)/libcore-host.a)
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$^ $$(fuzz-$(1)-ldlibs) $(host-libs) $(if $(FUZZER),-fsanitize=fuzzer) -o $$@
endef
$(foreach t,$(fuzz-y),$(eval $(call fuzz-rule,$(t))))

unit-bin := $(patsubst %,$(O)/unit/%,$(unit-y) $(tool-unit-y))
fuzz-bin := $(fuzz-y:%=$(O)/fuzz/%)
FUZZ_SECONDS ?= 4
T ?= 60

unit-build: $(unit-bin)
core-lib: $(O)/libcore-host.a
host-lib: core-lib $(O)/libtools-host.a
fuzz-build: $(fuzz-bin)

unit: unit-build
	$(Q)$(PYTHON) scripts/runtests.py --results $(O)/test-results --stage unit $(unit-bin)

# The tests with threads under the thread sanitizer, which reads /proc.
unit-tsan:
ifneq ($(wildcard /proc/self/task),)
	$(Q)$(MAKE) O=$(O)/tsan CC=clang TSAN=1 $(tsan-y:%=$(O)/tsan/unit/%)
	$(Q)$(PYTHON) scripts/runtests.py --results $(O)/test-results --stage tsan $(tsan-y:%=$(O)/tsan/unit/%)
else
	@printf 'SKIP\ttsan\tunit-tsan\tno /proc here\n' >> $(O)/test-results
endif

fuzz-smoke: fuzz-build
	$(Q)$(PYTHON) scripts/runtests.py --results $(O)/test-results --stage fuzz --fuzz $(FUZZ_SECONDS) $(fuzz-bin)

# By coverage, T seconds each, two at a time; what they find new is added in $(O)/lf/corpus.
fuzz:
	$(Q)$(MAKE) O=$(O)/lf CC=clang FUZZER=1 fuzz-build
	$(Q)$(PYTHON) scripts/runtests.py --results $(O)/test-results --stage fuzz --libfuzzer $(O)/lf/corpus --fuzz $(T) \
	    $(fuzz-y:%=$(O)/lf/fuzz/%)

# What `make fuzz` has found in all, made as small as reaches the same, into tests/fuzz/corpus.
fuzz-corpus:
	$(Q)$(MAKE) O=$(O)/lf CC=clang FUZZER=1 fuzz-build
	$(Q)$(PYTHON) scripts/corpus.py $(O)/lf $(fuzz-y)

# Lines and branches of the core and of the guest part that unit tests and corpora reach.
coverage:
	$(Q)$(MAKE) O=$(O)/cov CC=gcc COVERAGE=1 unit-build fuzz-build
	$(Q)$(PYTHON) scripts/coverage.py $(O)/cov $(unit-y:%=$(O)/cov/unit/%) $(tool-unit-y:%=$(O)/cov/unit/%) -- \
	    $(fuzz-y:%=$(O)/cov/fuzz/%)

lint:
	$(Q)$(PYTHON) tests/lint/lint.py --results $(O)/test-results

# ---- whole tests -------------------------------------------------------------------------------------------------

export JOIST_BUILD := $(abspath $(O))
export V CC

check-qemu: hypervisor $(guests-all) $(stub-efi)
	$(Q)$(PYTHON) scripts/stage.py $(O)/test-results loader tests/efi/test_loader.py $(stub-efi) $(O)/guests/hello.elf; \
	    loader=$$?; \
	    $(PYTHON) scripts/stage.py $(O)/test-results qemu tests/qemu/run_guests.py --efi $(O)/joist.efi $(if $(LONG),--long) && exit $$loader

# The same guests with a hypervisor that stops long operations at every check point, and checks every lock.
check-yield: $(guests-all)
	@mkdir -p $(O)/yield
	$(Q)(cat $(KCONFIG_CONFIG); echo CONFIG_PREEMPT_ALWAYS=y; echo CONFIG_LOCK_CHECK=y) > $(O)/yield/.config
	$(Q)$(MAKE) O=$(O)/yield KCONFIG_CONFIG=$(O)/yield/.config hypervisor
	$(Q)$(PYTHON) scripts/stage.py $(O)/test-results yield tests/qemu/run_guests.py --efi $(O)/yield/joist.efi; \
	    yield=$$?; $(PYTHON) scripts/stage.py $(O)/test-results yield tests/qemu/run_guests.py --efi $(O)/yield/joist.efi \
	    attack/races attack/descriptors traps:guarded && exit $$yield

# Instructions between two check points of long operations, on a hypervisor that records them.
check-stretches: $(guests-all)
	@mkdir -p $(O)/measure
	$(Q)(cat $(KCONFIG_CONFIG); echo CONFIG_PREEMPT_MEASURE=y) > $(O)/measure/.config
	$(Q)$(MAKE) O=$(O)/measure KCONFIG_CONFIG=$(O)/measure/.config hypervisor
	$(Q)$(PYTHON) scripts/stage.py $(O)/test-results stretches tests/qemu/run_guests.py --efi $(O)/measure/joist.efi stretches

check-system: all $(bench-all) $(guests-all) $(system-progs)
	$(Q)$(PYTHON) scripts/stage.py $(O)/test-results system tests/system/run.py --efi $(O)/joist.efi $(if $(LONG),--long)

# The attack guests on stock Xen: the same verdicts but for the differences that are listed.
check-oracle:
	$(Q)$(PYTHON) scripts/tally.py $(O) attacks-on-xen

attacks-on-xen: all $(guests-all)
	$(Q)$(PYTHON) scripts/stage.py $(O)/test-results oracle tests/system/run.py --efi xen --tools stock attacks

all-configs:
	$(Q)$(PYTHON) scripts/allconfigs.py $(O)

check-build: all
	$(Q)$(PYTHON) scripts/stage.py $(O)/test-results build tests/build/test_build.py $(O); \
	    build=$$?; $(PYTHON) scripts/stage.py $(O)/test-results build tests/lint/test_lint.py && exit $$build

setup:
	$(Q)sh scripts/setup

setup-test:
	$(Q)sh scripts/setup test

check:
	$(Q)$(PYTHON) scripts/tally.py $(O) lint unit check-cli

test: setup-test
	$(Q)$(PYTHON) scripts/tally.py $(O) lint unit unit-tsan check-cli fuzz-smoke all-configs check-build check-qemu check-system

test-long: setup-test
	$(Q)LONG=1 FUZZ_SECONDS=60 $(PYTHON) scripts/tally.py $(O) lint unit unit-tsan check-cli fuzz-smoke all-configs check-build check-qemu check-yield check-stretches check-system

bench: all $(bench-all)
	$(Q)$(PYTHON) tests/bench/bench.py --efi $(O)/joist.efi
	$(Q)$(PYTHON) tests/bench/rings.py --efi $(O)/joist.efi

run: setup
	$(Q)$(MAKE) all
	$(Q)scripts/run

# ---- install -----------------------------------------------------------------------------------------------------

install: all
	install -d $(DESTDIR)/usr/lib/joist $(DESTDIR)/usr/bin $(DESTDIR)/usr/libexec/joist $(DESTDIR)/etc/joist \
	    $(DESTDIR)/var/lib/joist $(DESTDIR)/var/log/joist
	$(if $(wildcard $(hv-lds)),install -m 644 $(O)/joist.efi $(O)/joist-syms $(DESTDIR)/usr/lib/joist/)
	$(foreach t,$(tools-y),install -s -m 755 $(O)/tools/$(t) \
	    $(DESTDIR)/usr/$(if $(filter bin,$(tool-$(t)-dir)),bin,libexec/joist)/$(t) &&) :
	$(if $(etc-y),install -m 644 $(etc-y) $(DESTDIR)/etc/joist/)
	$(if $(units-y),install -d $(DESTDIR)/usr/lib/systemd/system)
	$(if $(units-y),install -m 644 $(units-y) $(DESTDIR)/usr/lib/systemd/system/)
	$(foreach m,$(man-y),install -D -m 644 $(m) $(DESTDIR)/usr/share/man/man$(subst .,,$(suffix $(m)))/$(notdir $(m)) &&) :

clean:
	rm -rf $(O)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

help:
	@sed -n '2,28s/^# \{0,1\}//p' Makefile

-include $(shell find $(O) -path $(O)/cache -prune -o -type f -name '*.d' -print 2>/dev/null)

lint-%:
	$(Q)$(PYTHON) tests/lint/lint.py $*

.PHONY: check-build check-yield check-stretches check-oracle attacks-on-xen all hypervisor tools host-lib core-lib unit-build fuzz-build unit unit-tsan fuzz-smoke fuzz fuzz-corpus coverage lint check-qemu check-system all-configs setup setup-test check \
        test test-long bench run install clean format help menuconfig defconfig olddefconfig
