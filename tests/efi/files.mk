# SPDX-License-Identifier: MIT
# A payload that tells what the loader handed over, inside a loader of its own.
stub-objs := $(patsubst %,$(O)/hv/%,tests/efi/stub_entry.o tests/efi/stub.o $(lib-y) $(free-y))
stub-efi  := $(O)/efi/$(O)/stub.elf/joist.efi

$(O)/stub.elf: $(stub-objs) tests/efi/stub.lds
	$(Q)$(LD) -static -no-pie --build-id=none -z noexecstack -z max-page-size=4096 -T tests/efi/stub.lds -o $@ $(stub-objs)
