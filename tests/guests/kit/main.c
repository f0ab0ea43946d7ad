/* SPDX-License-Identifier: MIT */
/* Start, verdict and end of a test guest. */
#include "kit/kit.h"

struct start_info *si;
struct shared_info *shared;
bool on_joist;
bool is_dom0;

static u8 shared_page[PAGE] __attribute__((aligned(4096)));
static volatile u32 checks_done, checks_failed;
static char first_failure[256];
static struct lock check_lock;
static const char *skip_reason;

void kit_main(struct start_info *info);

void check_at(bool ok, const char *file, int line, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    __atomic_fetch_add(&checks_done, 1, __ATOMIC_RELAXED);
    if (ok) {
        return;
    }
    va_start(ap, fmt);
    vformat(text, sizeof(text), fmt, ap);
    va_end(ap);
    lock(&check_lock);
    u32 nth = ++checks_failed;

    if (nth == 1) {
        memcpy(first_failure, text, sizeof(text));
    }
    unlock(&check_lock);
    if (nth <= 20) {
        print("FAILED %s:%d: %s\r\n", file, line, text);
    }
}

void test_skip(const char *why)
{
    skip_reason = why;
}

bool kit_option(const char *word)
{
    size_t n = strlen(word);

    for (const char *s = (const char *)si->cmd_line; *s; s++) {
        if (memcmp(s, word, n) == 0) {
            return true;
        }
    }
    return false;
}

/* Ends the domain; a dom0 asks for a restart, which ends a QEMU that runs with -no-reboot. */
void kit_stop(u32 reason)
{
    struct sched_shutdown arg = { .reason = reason };

    for (;;) {
        sched_op(SCHEDOP_shutdown, &arg);
    }
}

/* Prints the verdict and ends. */
void test_end(void)
{
    if (checks_failed) {
        print("TEST %s FAIL %u of %u checks; first: %s\r\n", kit_name, checks_failed, checks_done,
              first_failure);
    } else if (skip_reason) {
        print("TEST %s SKIP %s\r\n", kit_name, skip_reason);
    } else if (checks_done == 0) {
        print("TEST %s FAIL no check was made\r\n", kit_name);
    } else {
        print("TEST %s PASS %u checks\r\n", kit_name, checks_done);
    }
    kit_stop(is_dom0 ? SHUTDOWN_reboot : SHUTDOWN_poweroff);
}

static void identify(void)
{
    char extra[XEN_EXTRAVERSION_LEN] = "";
    long version = hc2(__HYPERVISOR_xen_version, XENVER_version, 0);

    hc2(__HYPERVISOR_xen_version, XENVER_extraversion, U64(extra));
    for (const char *s = extra; *s; s++) {
        on_joist |= memcmp(s, "joist", 5) == 0;
    }
    print("test guest %s on %ld.%ld%s as %s, %lu pages\r\n", kit_name, version >> 16,
          version & 0xffff, extra, is_dom0 ? "dom0" : "guest", si->nr_pages);
}

/* Called from the entry point on the first stack. */
void kit_main(struct start_info *info)
{
    si = info;
    is_dom0 = (si->flags & SIF_INITDOMAIN) != 0;
    identify();
    kit_traps_init();
    page_remap(shared_page, si->shared_info | PTE_RW);
    shared = (struct shared_info *)shared_page;
    events_init();
    this_cpu()->state = 1;
    test_main();
    test_end();
}
