/* SPDX-License-Identifier: MIT */
/* Small calls: xen_version, vm_assist, console_io, set_timer_op. */

#include "hcall/hcall.h"

#include "abi/version.h"
#include "abi/xen.h"
#include "base/console.h"
#include "base/log.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "lib/str.h"
#include "port/copy.h"
#include "port/cpu.h"
#include "port/ctl.h"
#include "sched/systime.h"
#include "start/cmdline.h"
#include "version.h"

/* The version of the interface that we speak, not ours. */
#define XEN_MAJOR 4
#define XEN_MINOR 17

static int64_t version_text(gptr_t to, size_t size, const char *text)
{
    char chunk[64] = { 0 };
    size_t n = str_nlen(text, size - 1);

    for (size_t done = 0; done < size; done += sizeof(chunk)) {
        size_t room = size - done < sizeof(chunk) ? size - done : sizeof(chunk);
        size_t some = n > done ? n - done : 0;

        memset(chunk, 0, sizeof(chunk));
        memcpy(chunk, text + (some ? done : 0), some < room ? some : room);
        if (guest_write(gptr_at(to, done, 1), chunk, room)) {
            return -EFAULT;
        }
    }
    return 0;
}

static int64_t version_compile_info(gptr_t to)
{
    struct xen_compile_info info;

    memset(&info, 0, sizeof(info));
    str_copy(info.compiler, sizeof(info.compiler), "C compiler " __VERSION__);
    str_copy(info.compile_by, sizeof(info.compile_by), "joist");
    str_copy(info.compile_domain, sizeof(info.compile_domain), "");
    str_copy(info.compile_date, sizeof(info.compile_date), JOIST_VERSION);
    return guest_write(to, &info, sizeof(info)) ? -EFAULT : 0;
}

static int64_t version_features(struct vcpu *v, gptr_t to)
{
    struct xen_feature_info info;

    if (guest_read(&info, to, sizeof(info))) {
        return -EFAULT;
    }
    if (info.submap_idx != 0) {
        return -EINVAL;
    }
    info.submap = port_features(v->d);
    return guest_write(to, &info, sizeof(info)) ? -EFAULT : 0;
}

/* What is rarely asked. */
static int64_t version_other(struct vcpu *v, uint64_t what, gptr_t to)
{
    switch (what) {
    case XENVER_extraversion:
        return version_text(to, XEN_EXTRAVERSION_LEN, ".0-joist");
    case XENVER_compile_info:
        return version_compile_info(to);
    case XENVER_capabilities:
        return version_text(to, XEN_CAPABILITIES_INFO_LEN, port_capabilities);
    case XENVER_changeset:
        return version_text(to, XEN_CHANGESET_INFO_LEN, "joist " JOIST_VERSION);
    case XENVER_platform_parameters: {
        struct xen_platform_parameters p = { .virt_start = port_hole_start() };

        return guest_write(to, &p, sizeof(p)) ? -EFAULT : 0;
    }
    case XENVER_get_features:
        return version_features(v, to);
    case XENVER_pagesize:
        return to.va ? -EINVAL : (int64_t)PAGE_SIZE;
    case XENVER_guest_handle:
        return guest_write(to, v->d->handle, sizeof(v->d->handle)) ? -EFAULT : 0;
    case XENVER_commandline:
        return version_text(to, sizeof(xen_commandline_t), v->d->is_ctl ? cmdline_raw : "<denied>");
    case XENVER_build_id:
        return v->d->is_ctl ? -ENODATA : -EPERM;
    default:
        return -ENOSYS;
    }
}

/*
 * arg 0: XENVER_, arg 1: address of what that wants. The version itself is what guests call in
 * order to have pending events delivered, so it comes first. 0 or a number; -EFAULT, -EINVAL,
 * -ENODATA, -EPERM, -ENOSYS.
 */
int64_t hc_xen_version(struct vcpu *v, struct hcall_args *a)
{
    if (a->arg[0] == XENVER_version) {
        return (XEN_MAJOR << 16) | XEN_MINOR;
    }
    return version_other(v, (uint32_t)a->arg[0], gptr(a->arg[1]));
}

/* arg 0: VMASST_CMD_, arg 1: VMASST_TYPE_. 0, -EINVAL (no such type), -ENOSYS (no such command). */
int64_t hc_vm_assist(struct vcpu *v, struct hcall_args *a)
{
    uint32_t type = (uint32_t)a->arg[1];

    if (type >= 32 || !((port_vm_assist_valid() >> type) & 1)) {
        return -EINVAL;
    }
    switch ((uint32_t)a->arg[0]) {
    case VMASST_CMD_enable:
        __atomic_fetch_or(&v->d->vm_assist, 1U << type, __ATOMIC_RELAXED);
        return 0;
    case VMASST_CMD_disable:
        __atomic_fetch_and(&v->d->vm_assist, ~(1U << type), __ATOMIC_RELAXED);
        return 0;
    default:
        return -ENOSYS;
    }
}

static int64_t console_write(struct hcall_args *a, uint64_t count)
{
    gptr_t from = gptr(a->arg[2]);
    char text[128];

    while (count > 0) {
        size_t n = count < sizeof(text) ? count : sizeof(text);

        if (guest_read(text, from, n)) {
            return -EFAULT;
        }
        log_raw(text, n);
        count -= n;
        from = gptr_at(from, n, 1);
        if (count > 0 && hcall_preempt_check()) {
            a->arg[1] = count;
            a->arg[2] = from.va;
            return HC_AGAIN;
        }
    }
    return 0;
}

static int64_t console_io_read(gptr_t to, uint64_t count)
{
    uint64_t done = 0;
    char text[64];

    while (done < count) {
        size_t want = count - done < sizeof(text) ? count - done : sizeof(text);
        size_t n = console_read(text, want);

        if (n == 0) {
            break;
        }
        if (guest_write(gptr_at(to, done, 1), text, n)) {
            return -EFAULT;
        }
        done += n;
    }
    return (int64_t)done;
}

/* arg 0: CONSOLEIO_, arg 1: bytes, arg 2: address. Write: 0; read: bytes; -EPERM, -EINVAL, -EFAULT,
 * -ENOSYS, HC_AGAIN. */
int64_t hc_console_io(struct vcpu *v, struct hcall_args *a)
{
    uint64_t count = a->arg[1];

    if (!v->d->is_hw) {
        return -EPERM;
    }
    if (count > INT32_MAX) {
        return -EINVAL;
    }
    switch ((uint32_t)a->arg[0]) {
    case CONSOLEIO_write:
        return console_write(a, count);
    case CONSOLEIO_read:
        return console_io_read(gptr(a->arg[2]), count);
    default:
        return -ENOSYS;
    }
}

/* arg 0: system time in ns, 0 to stop. 0. */
int64_t hc_set_timer_op(struct vcpu *v, struct hcall_args *a)
{
    systime_singleshot_set(v, a->arg[0]);
    return 0;
}
