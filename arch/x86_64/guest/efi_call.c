/* SPDX-License-Identifier: MIT */
/*
 * EFI runtime services for dom0: its buffers are copied into the hypervisor's memory, the firmware
 * works on the copies.
 *
 * Offsets into the runtime services table and signatures: UEFI specification 2.9 section 4.5 and
 * chapter 8.
 */
#include "guest/efi_call.h"

#include "abi/errno.h"
#include "abi/platform.h"
#include "cpu/machine.h"
#include "lib/mem.h"
#include "mm/heap.h"
#include "port/copy.h"

#define RT_GET_TIME            24u
#define RT_SET_TIME            32u
#define RT_GET_WAKEUP_TIME     40u
#define RT_SET_WAKEUP_TIME     48u
#define RT_GET_VARIABLE        72u
#define RT_GET_NEXT_VARIABLE   80u
#define RT_SET_VARIABLE        88u
#define RT_GET_MONOTONIC_COUNT 96u
#define RT_QUERY_VARIABLE_INFO 128u

#define EFI_ERROR            (UINT64_C(1) << 63)
#define EFI_BUFFER_TOO_SMALL (EFI_ERROR | 5)

#define NAME_SIZE  PAGE_SIZE /* bytes of UCS-2, its end included */
#define DATA_ORDER 4u
#define DATA_SIZE  (PAGE_SIZE << DATA_ORDER)

/* EFI_TIME differs from the ABI's structure by two pad bytes. */
struct efi_time {
    uint16_t year;
    uint8_t month, day, hour, minute, second, pad1;
    uint32_t nanosecond;
    int16_t timezone;
    uint8_t daylight, pad2;
};
_Static_assert(sizeof(struct efi_time) == 16, "EFI_TIME");

/* Firmware works on this: a page of name, the guid, out words, time; then the data. */
struct efi_buffers {
    uint16_t name[NAME_SIZE / 2];
    struct xenpf_efi_guid guid;
    struct efi_time time;
    uint64_t word[4];
};

#define BUFFERS_ORDER 1u
_Static_assert(sizeof(struct efi_buffers) <= (PAGE_SIZE << BUFFERS_ORDER), "buffers");

static uint64_t ptr(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

static int64_t call(unsigned int offset, const uint64_t args[5], struct xenpf_efi_runtime_call *op)
{
    uint64_t status = 0;

    if (!cpu_efi_call(offset, args, &status)) {
        return -ENODEV;
    }
    op->status = status;
    return 0;
}

static void time_out(const struct efi_time *t, struct xenpf_efi_time *to)
{
    *to = (struct xenpf_efi_time){
        .year = t->year,
        .month = t->month,
        .day = t->day,
        .hour = t->hour,
        .min = t->minute,
        .sec = t->second,
        .ns = t->nanosecond,
        .tz = t->timezone,
        .daylight = t->daylight,
    };
}

static void time_in(const struct xenpf_efi_time *t, struct efi_time *to)
{
    *to = (struct efi_time){
        .year = t->year,
        .month = t->month,
        .day = t->day,
        .hour = t->hour,
        .minute = t->min,
        .second = t->sec,
        .nanosecond = t->ns,
        .timezone = t->tz,
        .daylight = t->daylight,
    };
}

static int64_t get_time(struct xenpf_efi_runtime_call *op, struct efi_buffers *b)
{
    uint32_t caps[3] = { 0 }; /* EFI_TIME_CAPABILITIES: resolution, accuracy, sets to zero */

    if (op->misc != 0) {
        return -EINVAL;
    }
    uint64_t args[5] = { ptr(&b->time), ptr(b->word) };
    int64_t rc = call(RT_GET_TIME, args, op);
    if (rc == 0 && !(op->status & EFI_ERROR)) {
        memcpy(caps, b->word, sizeof caps);
        time_out(&b->time, &op->u.get_time.time);
        op->u.get_time.resolution = caps[0];
        op->u.get_time.accuracy = caps[1];
        op->misc = (caps[2] & 0xff) != 0 ? XEN_EFI_GET_TIME_SET_CLEARS_NS : 0;
    }
    return rc;
}

static int64_t set_time(struct xenpf_efi_runtime_call *op, struct efi_buffers *b)
{
    if (op->misc != 0) {
        return -EINVAL;
    }
    time_in(&op->u.set_time, &b->time);
    uint64_t args[5] = { ptr(&b->time) };
    return call(RT_SET_TIME, args, op);
}

static int64_t get_wakeup_time(struct xenpf_efi_runtime_call *op, struct efi_buffers *b)
{
    uint8_t *flags = (uint8_t *)b->word;

    if (op->misc != 0) {
        return -EINVAL;
    }
    uint64_t args[5] = { ptr(flags), ptr(flags + 1), ptr(&b->time) };
    int64_t rc = call(RT_GET_WAKEUP_TIME, args, op);
    if (rc == 0 && !(op->status & EFI_ERROR)) {
        time_out(&b->time, &op->u.get_wakeup_time);
        op->misc = (flags[0] ? XEN_EFI_GET_WAKEUP_TIME_ENABLED : 0) |
                   (flags[1] ? XEN_EFI_GET_WAKEUP_TIME_PENDING : 0);
    }
    return rc;
}

static int64_t set_wakeup_time(struct xenpf_efi_runtime_call *op, struct efi_buffers *b)
{
    const uint32_t known = XEN_EFI_SET_WAKEUP_TIME_ENABLE | XEN_EFI_SET_WAKEUP_TIME_ENABLE_ONLY;

    if (op->misc & ~known) {
        return -EINVAL;
    }
    time_in(&op->u.set_wakeup_time, &b->time);
    uint64_t args[5] = { (op->misc & XEN_EFI_SET_WAKEUP_TIME_ENABLE) ? 1 : 0,
                         (op->misc & XEN_EFI_SET_WAKEUP_TIME_ENABLE_ONLY) ? 0 : ptr(&b->time) };
    return call(RT_SET_WAKEUP_TIME, args, op);
}

static int64_t monotonic_count(struct xenpf_efi_runtime_call *op, struct efi_buffers *b)
{
    if (op->misc != 0) {
        return -EINVAL;
    }
    uint64_t args[5] = { ptr(b->word) };
    int64_t rc = call(RT_GET_MONOTONIC_COUNT, args, op);
    if (rc == 0) {
        op->misc = (uint32_t)b->word[0];
    }
    return rc;
}

/* A name must end within its page. -EFAULT, -EINVAL. */
static int64_t read_name(struct efi_buffers *b, gptr_t from)
{
    const size_t chunk = 64;
    const size_t chars = sizeof b->name / sizeof b->name[0];

    for (size_t n = 0; n < chars; n += chunk) {
        size_t left = guest_read(&b->name[n], gptr_at(from, n, 2), chunk * 2);
        size_t got = (chunk * 2 - left) / 2;
        for (size_t i = 0; i < got; i++) {
            if (b->name[n + i] == 0) {
                return 0;
            }
        }
        if (left != 0) {
            return -EFAULT;
        }
    }
    return -EINVAL;
}

static int64_t get_variable(struct xenpf_efi_runtime_call *op, struct efi_buffers *b)
{
    uint64_t size = op->u.get_variable.size;
    int64_t rc = read_name(b, op->u.get_variable.name);
    void *data = NULL;

    if (rc != 0 || op->misc != 0) {
        return rc != 0 ? rc : -EINVAL;
    }
    if (size > DATA_SIZE) {
        size = DATA_SIZE;
    }
    if (size != 0) {
        data = heap_alloc(DATA_ORDER, HEAP_ANY);
        if (data == NULL) {
            return -ENOMEM;
        }
    }
    b->guid = op->u.get_variable.vendor_guid;
    b->word[0] = size;
    uint64_t args[5] = { ptr(b->name), ptr(&b->guid), ptr(&b->word[1]), ptr(&b->word[0]),
                         ptr(data) };
    rc = call(RT_GET_VARIABLE, args, op);
    if (rc == 0 && (!(op->status & EFI_ERROR) || op->status == EFI_BUFFER_TOO_SMALL)) {
        bool fits = !(op->status & EFI_ERROR);
        op->misc = (uint32_t)b->word[1];
        op->u.get_variable.size = b->word[0];
        if (fits && b->word[0] <= size &&
            guest_write(op->u.get_variable.data, data, b->word[0]) != 0) {
            rc = -EFAULT;
        }
    }
    if (data != NULL) {
        heap_free(data, DATA_ORDER);
    }
    return rc;
}

static int64_t set_variable(struct xenpf_efi_runtime_call *op, struct efi_buffers *b)
{
    uint64_t size = op->u.set_variable.size;
    int64_t rc = read_name(b, op->u.set_variable.name);

    if (rc != 0) {
        return rc;
    }
    if (size > DATA_SIZE) {
        return -ENOMEM;
    }
    void *data = heap_alloc(DATA_ORDER, HEAP_ANY);
    if (data == NULL) {
        return -ENOMEM;
    }
    b->guid = op->u.set_variable.vendor_guid;
    uint64_t args[5] = { ptr(b->name), ptr(&b->guid), op->misc, size, size != 0 ? ptr(data) : 0 };
    if (guest_read(data, op->u.set_variable.data, size) != 0) {
        rc = -EFAULT;
    } else {
        rc = call(RT_SET_VARIABLE, args, op);
    }
    heap_free(data, DATA_ORDER);
    return rc;
}

static int64_t next_variable(struct xenpf_efi_runtime_call *op, struct efi_buffers *b)
{
    uint64_t size = op->u.get_next_variable_name.size;
    int64_t rc = read_name(b, op->u.get_next_variable_name.name);

    if (rc != 0 || op->misc != 0) {
        return rc != 0 ? rc : -EINVAL;
    }
    if (size > sizeof b->name) {
        size = sizeof b->name;
    }
    b->guid = op->u.get_next_variable_name.vendor_guid;
    b->word[0] = size;
    uint64_t args[5] = { ptr(&b->word[0]), ptr(b->name), ptr(&b->guid) };
    rc = call(RT_GET_NEXT_VARIABLE, args, op);
    if (rc != 0) {
        return rc;
    }
    op->u.get_next_variable_name.size = b->word[0];
    if (!(op->status & EFI_ERROR)) {
        op->u.get_next_variable_name.vendor_guid = b->guid;
        if (b->word[0] <= size &&
            guest_write(op->u.get_next_variable_name.name, b->name, b->word[0]) != 0) {
            return -EFAULT;
        }
    }
    return 0;
}

static int64_t variable_info(struct xenpf_efi_runtime_call *op, struct efi_buffers *b)
{
    if (op->misc & ~(uint32_t)XEN_EFI_VARINFO_BOOT_SNAPSHOT) {
        return -EINVAL;
    }
    uint64_t args[5] = { op->u.query_variable_info.attr, ptr(&b->word[0]), ptr(&b->word[1]),
                         ptr(&b->word[2]) };
    int64_t rc = call(RT_QUERY_VARIABLE_INFO, args, op);
    if (rc == 0) {
        op->u.query_variable_info.max_store_size = b->word[0];
        op->u.query_variable_info.remain_store_size = b->word[1];
        op->u.query_variable_info.max_size = b->word[2];
    }
    return rc;
}

typedef int64_t efi_fn(struct xenpf_efi_runtime_call *op, struct efi_buffers *b);

static efi_fn *const functions[] = {
    [XEN_EFI_get_time] = get_time,
    [XEN_EFI_set_time] = set_time,
    [XEN_EFI_get_wakeup_time] = get_wakeup_time,
    [XEN_EFI_set_wakeup_time] = set_wakeup_time,
    [XEN_EFI_get_next_high_monotonic_count] = monotonic_count,
    [XEN_EFI_get_variable] = get_variable,
    [XEN_EFI_set_variable] = set_variable,
    [XEN_EFI_get_next_variable_name] = next_variable,
    [XEN_EFI_query_variable_info] = variable_info,
};

int64_t efi_call(struct xenpf_efi_runtime_call *op)
{
    if (op->function >= sizeof functions / sizeof functions[0] || functions[op->function] == NULL) {
        return -ENOSYS;
    }
    struct efi_buffers *b = heap_alloc(BUFFERS_ORDER, HEAP_ANY);
    if (b == NULL) {
        return -ENOMEM;
    }
    int64_t rc = functions[op->function](op, b);
    heap_free(b, BUFFERS_ORDER);
    return rc;
}
