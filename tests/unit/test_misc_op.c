/* SPDX-License-Identifier: MIT */
/* xen_version, vm_assist, console_io, set_timer_op. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_core.h"

#include "abi/version.h"

#define AT (FAKE_GUEST_VA + 4096)

static int64_t version(unsigned int domid, uint64_t what, uint64_t at)
{
    struct hcall_args a = { { what, at } };

    return hc_xen_version(fake_caller(domid), &a);
}

/* Writes exactly `size` bytes, the rest of memory is untouched. */
static void check_text(uint64_t what, size_t size, const char *text)
{
    uint8_t *p = fake_at(AT);

    memset(fake.guest, 0xee, sizeof(fake.guest));
    assert_int_equal(version(0, what, AT), 0);
    assert_string_equal((const char *)p, text);
    for (size_t i = strlen(text); i < size; i++) {
        assert_int_equal(p[i], 0);
    }
    assert_int_equal(p[-1], 0xee);
    assert_int_equal(p[size], 0xee);
    assert_int_equal(version(0, what, 64), -EFAULT);
}

static void test_version_texts(void **state)
{
    (void)state;
    assert_int_equal(version(1, XENVER_version, 0), 0x40011);
    check_text(XENVER_extraversion, 16, ".0-joist");
    check_text(XENVER_capabilities, 1024, "test-caps");
    check_text(XENVER_commandline, 1024, "com1=115200");
    assert_int_equal(version(0, 99, AT), -ENOSYS);
}

static void test_version_denied(void **state)
{
    (void)state;
    assert_int_equal(version(1, XENVER_commandline, AT), 0);
    assert_string_equal((const char *)fake_at(AT), "<denied>");
    assert_int_equal(version(1, XENVER_build_id, AT), -EPERM);
    assert_int_equal(version(0, XENVER_build_id, AT), -ENODATA);
}

static void test_version_numbers(void **state)
{
    struct xen_feature_info fi = { .submap_idx = 0 };
    struct xen_platform_parameters *p = fake_at(AT);

    (void)state;
    fake_put(4096, &fi, sizeof(fi));
    assert_int_equal(version(0, XENVER_get_features, AT), 0);
    assert_int_equal(((struct xen_feature_info *)fake_at(AT))->submap, 0x800);
    fi.submap_idx = 1;
    fake_put(4096, &fi, sizeof(fi));
    assert_int_equal(version(0, XENVER_get_features, AT), -EINVAL);
    assert_int_equal(version(0, XENVER_pagesize, 0), 4096);
    assert_int_equal(version(0, XENVER_pagesize, AT), -EINVAL);
    assert_int_equal(version(0, XENVER_platform_parameters, AT), 0);
    assert_int_equal(p->virt_start, 0xffff800000000000);
    assert_int_equal(version(1, XENVER_guest_handle, AT), 0);
    assert_memory_equal(fake_at(AT), fake.dom[1].handle, 16);
    assert_int_equal(version(0, XENVER_compile_info, AT), 0);
    assert_int_equal(version(0, XENVER_compile_info, FAKE_GUEST_VA + FAKE_GUEST_SIZE - 143),
                     -EFAULT);
}

static int64_t assist(uint64_t cmd, uint64_t type)
{
    struct hcall_args a = { { cmd, type } };

    return hc_vm_assist(fake_caller(1), &a);
}

static void test_vm_assist(void **state)
{
    (void)state;
    assert_int_equal(assist(0, 2), 0);
    assert_int_equal(fake.dom[1].vm_assist, 4);
    assert_int_equal(assist(0, 1), -EINVAL);
    assert_int_equal(assist(0, 32), -EINVAL);
    assert_int_equal(assist(0, 0xffffffff), -EINVAL);
    assert_int_equal(assist(2, 2), -ENOSYS);
    assert_int_equal(fake.dom[1].vm_assist, 4);
    assert_int_equal(assist(1, 2), 0);
    assert_int_equal(fake.dom[1].vm_assist, 0);
}

static void test_console_write(void **state)
{
    struct hcall_args a = { { 0, 300, AT } };
    char text[300];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[299] = '\n';
    fake_put(4096, text, sizeof(text));
    assert_int_equal(hc_console_io(fake_caller(0), &a), 0);
    assert_int_equal(fake.log_len, 300);
    assert_memory_equal(fake.log, text, 300);
    assert_int_equal(hc_console_io(fake_caller(1), &a), -EPERM);
    a.arg[1] = UINT64_C(0x80000000);
    assert_int_equal(hc_console_io(fake_caller(0), &a), -EINVAL);
    a = (struct hcall_args){ { 0, 10, 64 } };
    assert_int_equal(hc_console_io(fake_caller(0), &a), -EFAULT);
    a.arg[0] = 2;
    assert_int_equal(hc_console_io(fake_caller(0), &a), -ENOSYS);
}

static void test_console_write_yields(void **state)
{
    struct hcall_args a = { { 0, 300, AT } };
    unsigned int rounds = 1;

    (void)state;
    for (unsigned int i = 0; i < 300; i++) {
        fake.guest[4096 + i] = (uint8_t)i;
    }
    for (fake.preempt_at = 1; hc_console_io(fake_caller(0), &a) == HC_AGAIN; fake.preempt_at = 1) {
        rounds++;
    }
    assert_int_equal(rounds, 3);
    assert_int_equal(fake.log_len, 300);
    assert_memory_equal(fake.log, fake.guest + 4096, 300);
}

static void test_console_read(void **state)
{
    struct hcall_args a = { { 1, 100, AT } };

    (void)state;
    fake.input = "typed";
    assert_int_equal(hc_console_io(fake_caller(0), &a), 5);
    assert_memory_equal(fake_at(AT), "typed", 5);
    assert_int_equal(hc_console_io(fake_caller(0), &a), 0);
    fake.input = "more";
    a.arg[1] = 2;
    assert_int_equal(hc_console_io(fake_caller(0), &a), 2);
    a.arg[2] = 64;
    assert_int_equal(hc_console_io(fake_caller(0), &a), -EFAULT);
}

static void test_set_timer(void **state)
{
    struct hcall_args a = { { 12345 } };

    (void)state;
    assert_int_equal(hc_set_timer_op(fake_caller(1), &a), 0);
    assert_int_equal(fake.timer_set, 12345);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_version_texts), TEST(test_version_denied), TEST(test_version_numbers),
        TEST(test_vm_assist),     TEST(test_console_write),  TEST(test_console_write_yields),
        TEST(test_console_read),  TEST(test_set_timer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
