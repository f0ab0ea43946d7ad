/* SPDX-License-Identifier: MIT */
/* The builder's list of steps, from files to a paused domain that is ready to run. */
#include "build/build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "build/parts.h"

int build_failed(struct building *b, const char *phase, int rc, const char *what)
{
    return fail_set(b->f, rc, phase, b->c->name, "%s: %s", what, joist_strerror(rc));
}

/* Everything about files and sizes is decided before the hypervisor is asked for anything. */
static int plan(struct building *b)
{
    struct pv_plan_input in = { .image = &b->image.info };
    int rc = image_load(&b->image, b->c->kernel, b->f);

    if (rc == 0 && b->c->ramdisk[0] != '\0') {
        rc = file_map(&b->ramdisk, "ramdisk", b->c->ramdisk, b->f);
    }
    if (rc != 0) {
        return rc;
    }
    b->pages = b->c->memory_kib / 4;
    in.ramdisk_size = b->ramdisk.size;
    in.pages = b->pages;
    rc = pvplan_make(&in, &b->plan);
    if (rc == PVPLAN_ERR_MEMORY) {
        fail_set(b->f, -ENOMEM, "memory", b->c->name,
                 "kernel and ramdisk need %llu MiB to start, memory is %llu MiB",
                 (unsigned long long)((b->plan.pages_needed + 255) / 256),
                 (unsigned long long)(b->c->memory_kib / 1024));
        return fail_remedy(b->f, "raise memory=");
    }
    if (rc != 0) {
        return fail_set(b->f, -ENOEXEC, "kernel", b->c->kernel, "%s", pvplan_strerror(rc));
    }
    b->mfns = calloc(b->pages, sizeof(*b->mfns));
    if (b->mfns == NULL) {
        return fail_set(b->f, -ENOMEM, "memory", b->c->name,
                        "the control domain has no memory for the list of %llu frames",
                        (unsigned long long)b->pages);
    }
    return 0;
}

static int make_domain(struct building *b)
{
    static int (*const steps[])(struct building *) = {
        build_populate,    build_alloc_ports, build_write_memory, build_pin,
        build_seed_grants, build_set_cpus,    build_set_context,
    };
    size_t i;
    int rc = build_check_memory(b);

    if (rc == 0) {
        rc = build_create_domain(b);
    }
    if (rc != 0) {
        return rc;
    }
    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        rc = steps[i](b);
        if (rc != 0) {
            build_destroy_domain(b);
            return rc;
        }
    }
    return 0;
}

int build_guest(struct joist *h, const struct config *c, struct built *out, struct fail *f)
{
    struct building b = { .h = h, .c = c, .f = f, .out = out };
    int rc;

    *out = (struct built){ 0 };
    rc = plan(&b);
    if (rc == 0) {
        rc = make_domain(&b);
    }
    free(b.mfns);
    file_unmap(&b.ramdisk);
    image_free(&b.image);
    return rc;
}
