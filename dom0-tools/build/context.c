/* SPDX-License-Identifier: MIT */
/* The first vCPU's registers as the PV start-of-day convention wants them. */
#include "build/parts.h"

#include <errno.h>

#include "abi/arch_x86_64.h"
#include "abi/domctl.h"

#define RFLAGS_IF 0x200 /* as the ABI has it; event delivery is masked by the vcpu_info */

int build_set_context(struct building *b)
{
    struct vcpu_guest_context *ctx = joist_buf_alloc(b->h, sizeof(*ctx));
    struct xen_domctl op = { .cmd = XEN_DOMCTL_setvcpucontext, .domain = b->out->domid };
    int rc;

    if (ctx == NULL) {
        return build_failed(b, "create", -ENOMEM, "no buffer for the first context");
    }
    ctx->flags = VGCF_in_kernel | VGCF_online;
    ctx->user_regs.rip = b->plan.entry;
    ctx->user_regs.rsp = b->plan.stack_top;
    ctx->user_regs.rsi = b->plan.start_info.va;
    ctx->user_regs.rflags = RFLAGS_IF;
    ctx->user_regs.cs = FLAT_KERNEL_CS;
    ctx->user_regs.ss = FLAT_KERNEL_SS;
    ctx->user_regs.ds = FLAT_KERNEL_DS;
    ctx->user_regs.es = FLAT_KERNEL_DS;
    ctx->user_regs.fs = FLAT_KERNEL_DS;
    ctx->user_regs.gs = FLAT_KERNEL_DS;
    ctx->kernel_ss = FLAT_KERNEL_SS;
    ctx->kernel_sp = b->plan.stack_top;
    ctx->ctrlreg[3] = xen_pfn_to_cr3(b->mfns[b->plan.pt.pfn]);
    op.u.vcpucontext.vcpu = 0;
    op.u.vcpucontext.ctxt.va = (uintptr_t)ctx;
    rc = joist_domctl(b->h, &op);
    joist_buf_free(b->h, ctx);
    return rc < 0 ? build_failed(b, "create", rc, "the first context is refused") : 0;
}
