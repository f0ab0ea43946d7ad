# SPDX-License-Identifier: MIT
# Fuzzers: one line each. fuzz-NAME-objs adds objects, fuzz-NAME-lib replaces the core's host library.
fuzz-y += fuzz_bzimage
fuzz-y += fuzz_control
fuzz-y += fuzz_elf
fuzz-y += fuzz_kv
fuzz-y += fuzz_mmu
fuzz-fuzz_mmu-objs := tests/unit/mm_kit.o
fuzz-fuzz_control-objs := tests/unit/mm_kit.o
fuzz-y += fuzz_insn
fuzz-y += fuzz_gnttab_evtchn
fuzz-fuzz_gnttab_evtchn-objs := tests/unit/mm_kit.o
fuzz-y += fuzz_acpi
fuzz-y += fuzz_calls fuzz_context fuzz_memory fuzz_priv_emul
$(foreach f,fuzz_calls fuzz_context fuzz_memory fuzz_priv_emul,$(eval fuzz-$(f)-objs := tests/unit/mm_kit.o tests/fuzz/world.o))
