# SPDX-License-Identifier: MIT
# Host unit tests: one line per test, in alphabetical order. unit-y links the core's host library, tool-unit-y the tools'.
unit-y += test_abi
unit-y += test_bzimage
unit-y += test_elf
unit-y += test_fmt
unit-y += test_kv
unit-y += test_loader
unit-y += test_mem
unit-y += test_pvplan
unit-y += test_str

# mem.c defines memcpy and friends, which the host takes from libc: the test gets it under other names.
unit-test_mem-objs := tests/unit/mem_renamed.o
cflags-tests/unit/mem_renamed.o := -fno-builtin $(if $(IS_CLANG),,-fno-tree-loop-distribute-patterns)

# The interface, once as xen-core/abi and once as libxen-dev declares it.
unit-test_abi-objs := tests/unit/abi/ours.o tests/unit/abi/theirs.o

# Control and memory calls against a flat stand-in for the core: these link the objects under test and nothing else of it.
tool-unit-y += test_ctl_x86 test_domctl test_mem_op test_misc_op test_multicall test_sysctl
fake-core := tests/unit/fake_core.o tests/unit/fake_ctl_port.o
ctl-objs := $(addprefix xen-core/ctl/, ctl.o ctl_bitmap.o domctl_life.o domctl_mem.o domctl_vcpu.o sysctl_host.o sysctl_perfc.o sysctl_sched.o) xen-core/base/counter.o
unit-test_domctl-objs := $(ctl-objs) $(fake-core)
unit-test_sysctl-objs := $(ctl-objs) $(fake-core)
unit-test_mem_op-objs := xen-core/hcall/mem_op.o xen-core/hcall/mem_exchange.o $(fake-core)
unit-test_misc_op-objs := xen-core/hcall/misc_op.o $(fake-core)
unit-test_multicall-objs := xen-core/hcall/multicall.o $(fake-core)
unit-test_ctl_x86-objs := $(addprefix arch/x86_64/guest/, ctl_x86.o mem_x86.o cpuid.o) tests/unit/fake_core.o

# Domains, scheduling, events, grants, interrupts on the host machine.
core-kit-tests := test_control test_domain test_evtchn test_hcall test_irq test_rights test_sched test_sched_threads test_vcpu
core-kit-tests += test_refusals test_base test_cmdline test_entrypoints test_machine_ops test_msr test_priv_emul test_timer test_trap
unit-y += $(core-kit-tests) test_spec
$(foreach t,$(core-kit-tests),$(eval unit-$(t)-objs := tests/unit/core_kit.o))

# Memory on the host machine: guests with page tables (mm_kit), an audit of all frames after each step.
unit-y += test_crowd test_frame test_heap test_mmu_update test_mmuext test_insn test_pt_write test_mm_threads test_desc test_ctx
unit-test_crowd-objs := tests/unit/mm_kit.o
unit-test_ctx-objs := tests/unit/mm_kit.o
unit-test_frame-objs := tests/unit/mm_kit.o
unit-test_heap-objs := tests/unit/mm_kit.o
unit-test_mmu_update-objs := tests/unit/mm_kit.o
unit-test_mmuext-objs := tests/unit/mm_kit.o
unit-test_mm_threads-objs := tests/unit/mm_kit.o
unit-test_desc-objs := tests/unit/mm_kit.o
unit-test_pt_write-objs := tests/unit/mm_kit.o

# Grants: both, a guest with page tables that maps and one that grants.
unit-y += test_gnttab
unit-test_gnttab-objs := tests/unit/mm_kit.o
unit-y += test_event_threads test_end_threads test_ctl_threads
unit-test_ctl_threads-objs := tests/unit/mm_kit.o
unit-test_end_threads-objs := tests/unit/mm_kit.o
unit-test_event_threads-objs := tests/unit/mm_kit.o

# Drivers and registers, recorded: these link the object under test and fakes of their own.
tool-unit-y += test_acpi test_cpu test_efifb test_lapic test_msi test_tsc
unit-test_acpi-objs := drivers/acpi.o
unit-test_efifb-objs := drivers/efifb.o drivers/font.o
unit-test_lapic-objs := arch/x86_64/hw/lapic.o
unit-test_msi-objs := arch/x86_64/hw/msi.o
unit-test_tsc-objs := arch/x86_64/hw/tsc.o
unit-test_cpu-objs := tests/unit/recorded/cpu.o
cflags-tests/unit/recorded/cpu.o := -iquote tests/unit/recorded
unit-y += test_guard test_trap_kernel
unit-test_trap_kernel-objs := tests/unit/recorded/trap.o tests/unit/mm_kit.o
cflags-tests/unit/recorded/trap.o := -iquote tests/unit/recorded
cflags-tests/unit/test_trap_kernel.o := -iquote tests/unit/recorded
unit-test_guard-objs := tests/unit/recorded/guard.o tests/unit/mm_kit.o
cflags-tests/unit/recorded/guard.o := -iquote tests/unit/recorded
cflags-tests/unit/test_guard.o := -iquote tests/unit/recorded

# Allocations and the start of lines go through the test, which lets them fail.
unit-y += test_sweep test_sweep_calls
sweep-wraps := $(foreach f,heap_alloc heap_alloc_domain heap_alloc_shared pool_alloc msi_setup port_irq_startup,-Wl$(,)--wrap=$(f))
$(foreach t,test_sweep test_sweep_calls,$(eval unit-$(t)-objs := tests/unit/mm_kit.o tests/unit/sweep_kit.o))
unit-test_sweep-ldlibs := $(sweep-wraps)
unit-test_sweep_calls-ldlibs := $(sweep-wraps)
unit-y += test_start
unit-y += test_explore test_explore_grants test_explore_ports
$(foreach t,test_explore test_explore_grants test_explore_ports,$(eval unit-$(t)-objs := tests/unit/mm_kit.o tests/unit/explore.o))

# Under the thread sanitizer too.
tsan-y += test_ctl_threads test_end_threads test_event_threads test_mm_threads test_sched_threads
$(foreach t,$(tsan-y),$(eval cflags-tests/unit/$(t).o := -DTHREAD_SHARE=$(if $(filter 1,$(TSAN)),10,1)))
