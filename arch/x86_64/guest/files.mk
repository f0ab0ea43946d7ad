# SPDX-License-Identifier: MIT
guest-y += $(addprefix arch/x86_64/guest/, \
    trap.o entrypoints.o debugreg.o cpuid.o msr.o ctx.o x86_domain.o hcall_table.o pv_dom0.o priv_emul.o port_io.o \
    physdev.o platform.o efi_call.o spec.o spec_plan.o)
guest-y += $(addprefix arch/x86_64/guest/, ctl_x86.o mem_x86.o)
# Page tables and descriptors.
guest-y += $(addprefix arch/x86_64/guest/, grant_map.o)
guest-y += $(addprefix arch/x86_64/guest/, \
    desc.o insn.o mmu_update.o mmuext.o pt_audit.o pt_check.o pt_grant.o pt_walk.o pt_write.o)
