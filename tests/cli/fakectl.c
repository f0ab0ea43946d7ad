/* SPDX-License-Identifier: MIT */
/*
 * Handles the pretended hypervisor from test scripts:
 *   fakectl init                  makes the file named by JOIST_FAKE
 *   fakectl dump                  what is given out, in a form that can be compared
 *   fakectl shutdown ID REASON    the guest's kernel has shut down
 *   fakectl fail N                the n-th call from now fails; 0: none
 *   fakectl hold 1|0              no memory is given out from now on, or it is again
 *   fakectl failed                prints how many calls are still to go
 *   fakectl log                   the hypervisor has logged again
 *   fakectl frames ID N           the last N frames of a guest, which nothing is in yet
 *   fakectl check ID              walks the first page tables of a built guest as a CPU would
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/xen.h"
#include "fake.h"

static int init(void)
{
    int fd = open(getenv("JOIST_FAKE"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct fake *f = calloc(1, sizeof(*f));
    uint32_t i;
    bool ok;

    if (fd < 0 || f == NULL || sizeof(*f) > FAKE_OFFSET) {
        return 1;
    }
    f->magic = FAKE_MAGIC;
    f->domain[0] = (struct fake_domain){ .is_used = 1, .max_vcpus = 2, .weight = 256 };
    f->domain[0].tot_pages = FAKE_CONTROL;
    f->domain[0].max_pages = FAKE_CONTROL;
    for (i = 0; i < FAKE_CONTROL; i++) {
        f->owner[i] = 1;
    }
    ok = ftruncate(fd, FAKE_OFFSET + (off_t)FAKE_FRAMES * 4096) == 0 &&
         write(fd, f, sizeof(*f)) == (ssize_t)sizeof(*f);
    free(f);
    close(fd);
    return ok ? 0 : 1;
}

static int dump(const struct fake *f)
{
    uint32_t id;
    uint32_t port;
    uint32_t ports;

    printf("free %" PRIu64 "\n", fake_free_frames(f));
    for (id = 0; id < FAKE_DOMAINS; id++) {
        const struct fake_domain *d = &f->domain[id];

        if (!d->is_used) {
            continue;
        }
        for (ports = 0, port = 0; port < FAKE_PORTS; port++) {
            ports += d->remote[port] != 0;
        }
        printf("domain %u pages %" PRIu64 " max %" PRIu64
               " vcpus %u ports %u paused %u shutdown %u "
               "weight %u cap %u map %" PRIu64 " affinity %x,%x\n",
               id, d->tot_pages, d->max_pages, d->max_vcpus, ports, d->is_paused, d->is_shutdown,
               d->weight, d->cap, d->map_bytes, d->affinity[0], d->affinity[1]);
    }
    return 0;
}

static int frames(const struct fake *f, uint32_t id, uint32_t count)
{
    for (uint32_t i = FAKE_FRAMES; i > 0 && count > 0; i--) {
        if (f->owner[i - 1] == id + 1) {
            printf("%u\n", i - 1);
            count--;
        }
    }
    return count == 0 ? 0 : 1;
}

static int bad(const char *what)
{
    printf("bad: %s\n", what);
    return 1;
}

/* Machine address that the guest's tables give for a virtual one; 0 if there is none. */
static uint64_t translate(const struct fake *f, uint32_t id, uint64_t va)
{
    uint64_t mfn = f->domain[id].root_mfn;
    uint64_t entry;
    int level;

    for (level = 3; level >= 0; level--) {
        entry = ((const uint64_t *)fake_frame(mfn))[(va >> (12 + 9 * level)) & 511];
        if ((entry & 5) != 5 || (entry & 0x80) != 0) {
            return 0;
        }
        mfn = (entry & 0xffffffffff000) >> 12;
        if (mfn >= FAKE_FRAMES || f->owner[mfn] != id + 1) {
            return 0;
        }
    }
    return mfn << 12 | (va & 4095);
}

static const void *at(uint64_t machine)
{
    return (const char *)fake_frame(machine >> 12) + (machine & 4095);
}

/* No table may be mapped writable: the hypervisor would refuse to pin it. */
static int check_tables(const struct fake *f, uint32_t id, const struct start_info *si)
{
    uint64_t i;

    for (i = 0; i < si->nr_pt_frames; i++) {
        uint64_t va = si->pt_base + i * 4096;
        uint64_t mfn = translate(f, id, va & ~0x1fffffULL) >> 12;

        if (mfn == 0 || translate(f, id, va) == 0) {
            return bad("a page table is not mapped");
        }
    }
    if (translate(f, id, si->pt_base) >> 12 != f->domain[id].root_mfn) {
        return bad("pt_base is not the pinned root");
    }
    return 0;
}

static int check(const struct fake *f, uint32_t id)
{
    const struct fake_domain *d = &f->domain[id];
    const struct start_info *si;
    const struct shared_info *shared;
    const uint64_t *p2m;
    uint64_t i;
    uint64_t machine;

    if (id == 0 || id >= FAKE_DOMAINS || !d->is_built) {
        return bad("no built guest of that id");
    }
    machine = translate(f, id, d->start_info);
    if (machine == 0 || translate(f, id, d->entry) == 0) {
        return bad("entry or start_info is not mapped");
    }
    si = at(machine);
    if (strcmp(si->magic, "xen-3.0-x86_64") != 0 || si->nr_pages != d->tot_pages ||
        si->shared_info != d->shared_mfn << 12 || si->store_evtchn == 0 ||
        si->console.domU.evtchn == 0 || si->store_mfn == si->console.domU.mfn) {
        return bad("start_info");
    }
    for (i = 0; i < si->nr_pages; i++) {
        machine = translate(f, id, si->mfn_list + i * 8);
        if (machine == 0) {
            return bad("the list of frames is not mapped");
        }
        p2m = at(machine);
        if (*p2m >= FAKE_FRAMES || f->owner[*p2m] != id + 1) {
            return bad("the list of frames names a frame that is not the guest's");
        }
    }
    shared = fake_frame(d->shared_mfn);
    if (shared->vcpu_info[0].evtchn_upcall_mask != 1 ||
        shared->vcpu_info[31].evtchn_upcall_mask != 1 || shared->evtchn_pending[0] != 0) {
        return bad("shared page");
    }
    printf("good: entry bytes %02x %02x, command line \"%s\", ramdisk %" PRIu64 "\n",
           ((const uint8_t *)at(translate(f, id, d->entry)))[0],
           ((const uint8_t *)at(translate(f, id, d->entry)))[1], (const char *)si->cmd_line,
           si->mod_len);
    return check_tables(f, id, si);
}

int main(int argc, char **argv)
{
    uint32_t number = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 0;
    struct fake *f;
    int rc = 0;

    if (argc > 1 && strcmp(argv[1], "init") == 0) {
        return init();
    }
    f = fake_get();
    if (f == NULL || argc < 2) {
        return 2;
    }
    fake_lock();
    if (strcmp(argv[1], "dump") == 0) {
        rc = dump(f);
    } else if (strcmp(argv[1], "shutdown") == 0 && argc > 3 && number < FAKE_DOMAINS) {
        f->domain[number].is_shutdown = 1;
        f->domain[number].reason = (uint8_t)strtoul(argv[3], NULL, 0);
        f->generation++;
    } else if (strcmp(argv[1], "fail") == 0) {
        f->fail_in = number;
    } else if (strcmp(argv[1], "hold") == 0) {
        f->is_held = number;
    } else if (strcmp(argv[1], "log") == 0) {
        f->log_cleared = 0;
    } else if (strcmp(argv[1], "failed") == 0) {
        printf("%u\n", f->fail_in);
    } else if (strcmp(argv[1], "check") == 0) {
        rc = check(f, number);
    } else if (strcmp(argv[1], "frames") == 0 && argc > 3) {
        rc = frames(f, number, (uint32_t)strtoul(argv[3], NULL, 0));
    } else {
        rc = 2;
    }
    fake_unlock();
    return rc;
}
