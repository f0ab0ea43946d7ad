/* SPDX-License-Identifier: MIT */
/* Domains: creation with a failure at each step, look-up, shutdown, crash, death in phases,
 * references that outlive it. */
#include "core_kit.h"

#include "abi/errno.h"
#include "abi/event.h"
#include "abi/sched.h"
#include "arch/host/machine.h"
#include "domain/priv.h"
#include "evtchn/evtchn.h"
#include "mm/heap.h"
#include "port/mmu.h"
#include "port/cpu.h"
#include "sched/sched.h"
#include "start/cmdline.h"

static void test_ids(void **state)
{
    struct domain_config cfg = { .max_vcpus = 1, .max_evtchn_port = 10, .max_grant_frames = 1 };
    struct domain *d = NULL;
    struct domain *e = NULL;

    (void)state;
    assert_int_equal(domain_create(&(domid_t){ 100 }, &cfg, &d), 0);
    assert_int_equal(d->id, 100);
    assert_int_equal(domain_create(&(domid_t){ 100 }, &cfg, &e), -EEXIST);
    assert_int_equal(domain_create(&(domid_t){ DOMID_FIRST_RESERVED }, &cfg, &e), 0);
    domid_t first = e->id;
    assert_true(first > 0 && first < DOMID_FIRST_RESERVED);
    kit_destroy(e);
    assert_int_equal(domain_create(&(domid_t){ DOMID_FIRST_RESERVED }, &cfg, &e), 0);
    assert_int_equal(e->id, first + 1); /* not the one just freed */

    assert_null(domain_get(99));
    assert_null(domain_get(DOMID_SELF));
    assert_null(domain_get(DOMID_IDLE));
    assert_null(domain_get(0xffff));
    struct domain *g = domain_get(100);
    assert_ptr_equal(g, d);
    assert_int_equal(atomic_load(&d->refs), 3); /* alive, its shared page, ours */
    domain_put(g);
    g = domain_get_next(0);
    assert_non_null(g);
    domain_put(g);
    g = domain_get_next(d->id > e->id ? d->id : e->id);
    assert_non_null(g);
    domain_put(g);
    assert_null(domain_get_next((domid_t)((d->id > e->id ? d->id : e->id) + 1)));

    cfg.max_vcpus = 0;
    assert_int_equal(domain_create(&(domid_t){ 5 }, &cfg, &e), -EINVAL);
    cfg.max_vcpus = DOMAIN_MAX_VCPUS + 1;
    assert_int_equal(domain_create(&(domid_t){ 5 }, &cfg, &e), -EINVAL);
    assert_null(vcpu_get(d, 0));
    assert_null(vcpu_get(d, 1));
    assert_null(vcpu_get(d, UINT64_MAX));
    domain_audit();
}

/* Memory gives out after k frames, for every k until it suffices: nothing is left of the attempt.
 */
static void test_creation_fails(void **state)
{
    struct domain_config cfg = { .max_vcpus = 2,
                                 .max_evtchn_port = 1000,
                                 .max_grant_frames = 2,
                                 .is_hw = true,
                                 .is_ctl = true };
    static void *held[16384];
    unsigned int n = 0;
    unsigned int failures = 0;
    int rc = -ENOMEM;

    (void)state;
    while ((held[n] = heap_alloc(0, HEAP_ANY)) != NULL) {
        n++;
    }
    uint64_t none = heap_free_frames();
    assert_int_equal(none, 0);
    for (unsigned int k = 0; rc != 0; k++) {
        struct domain *d = NULL;
        assert_true(k < 64);
        rc = domain_create(&(domid_t){ 7 }, &cfg, &d);
        if (rc == 0) {
            break;
        }
        failures++;
        assert_int_equal(rc, -ENOMEM);
        kit_settle();
        assert_null(domain_get(7));
        domain_audit();
        assert_int_equal(heap_free_frames(), k);
        heap_free(held[--n], 0);
    }
    assert_true(failures > 1);
    while (n > 0) {
        heap_free(held[--n], 0);
    }
}

static void test_shutdown(void **state)
{
    struct domain *d0 = kit_running(0, 1);
    struct domain *d = kit_running(1, 2);
    uint32_t port = 0;

    (void)state;
    struct evtchn_bind_virq b = { .virq = VIRQ_DOM_EXC };
    assert_int_equal(kit_call(d0->vcpu[0], hc_event_channel_op, EVTCHNOP_bind_virq, &b, 0), 0);
    port = b.port;
    uint64_t *pending = &d0->shared->evtchn_pending[0];
    struct sched_shutdown code = { .reason = SHUTDOWN_reboot };
    assert_int_equal(kit_call(d->vcpu[0], hc_sched_op, SCHEDOP_shutdown_code, &code, 0), 0);
    code.reason = SHUTDOWN_poweroff;
    assert_int_equal(kit_call(d->vcpu[0], hc_sched_op, SCHEDOP_shutdown, &code, 0), 0);
    assert_int_equal(atomic_load(&d->is_shut_down), 0); /* its vcpus are still on their cpus */
    assert_int_equal(*pending, 0);
    kit_settle();
    assert_int_equal(atomic_load(&d->is_shut_down), 1);
    assert_int_equal(*pending, UINT64_C(1) << port);
    assert_int_equal(d->shutdown_code, SHUTDOWN_reboot); /* told beforehand: counts */
    *pending = 0;
    domain_shutdown(d, SHUTDOWN_crash); /* once only */
    kit_settle();
    assert_int_equal(*pending, 0);
    assert_int_equal(d->shutdown_code, SHUTDOWN_reboot);

    domain_resume(d);
    kit_settle();
    assert_int_equal(atomic_load(&d->vcpu[0]->on_cpu), 1);
    domain_resume(d); /* nothing to resume */
    assert_int_equal(atomic_load(&d->pause_count), 0);
    domain_crash(d, "a reason of %d words", 5);
    domain_crash(d, "another");
    assert_int_equal(atomic_load(&d->shutting_down), 0); /* not in this context */
    kit_settle();
    assert_int_equal(atomic_load(&d->is_shut_down), 1);
    assert_int_equal(d->shutdown_code, SHUTDOWN_crash);
    /* The last vcpu down is a shutdown, too. */
    struct domain *e = kit_running(2, 2);
    assert_int_equal(kit_call(e->vcpu[0], hc_vcpu_op, VCPUOP_down, (void *)1, 0), 0);
    kit_settle();
    assert_int_equal(atomic_load(&e->shutting_down), 0);
    assert_int_equal(kit_call(e->vcpu[0], hc_vcpu_op, VCPUOP_down, (void *)0, 0), 0);
    kit_settle();
    assert_int_equal(atomic_load(&e->is_shut_down), 1);
}

static uint32_t end_code;

static void end_dom0(void)
{
    domain_shutdown(dom0, end_code);
}

static void test_dom0_ends_the_machine(void **state)
{
    struct domain *d0 = kit_running(0, 1);

    (void)state;
    end_code = SHUTDOWN_poweroff;
    assert_int_equal(kit_ends(end_dom0), 'o');
    atomic_store(&d0->shutting_down, 0);
    d0->shutdown_code = SHUTDOWN_CODE_NONE;
    end_code = SHUTDOWN_reboot;
    assert_int_equal(kit_ends(end_dom0), 'r');
    atomic_store(&d0->shutting_down, 0);
    d0->shutdown_code = SHUTDOWN_CODE_NONE;
    end_code = SHUTDOWN_crash;
    assert_int_equal(kit_ends(end_dom0), 'r');
    atomic_store(&d0->shutting_down, 0);
    d0->shutdown_code = SHUTDOWN_CODE_NONE;
    options.noreboot = true;
    assert_int_equal(kit_ends(end_dom0), 'p');
    options.noreboot = false;
}

static void test_kill(void **state)
{
    struct domain *d0 = kit_running(0, 1);
    struct domain *d = kit_running(1, 2);

    (void)state;
    assert_int_equal(domain_kill(d0), -EINVAL);
    assert_int_equal(domain_kill(dom_xen), -EINVAL);
    kit_as(d->vcpu[0]);
    assert_int_equal(domain_kill(d), -EINVAL); /* itself */
    kit_as(NULL);
    domain_pause_nosync(d);
    kit_settle();
    assert_non_null(heap_alloc_domain(d, 3, HEAP_ANY, M2P_INVALID));
    domain_ref(d);
    host_inject_yields(1, 1);
    unsigned int calls = 0;
    int64_t rc;
    do {
        rc = domain_kill(d);
        calls++;
        struct domain *g = domain_get(1); /* listed all the time, and dying */
        assert_ptr_equal(g, d);
        assert_true(domain_is_dying(g));
        domain_put(g);
    } while (rc == HC_AGAIN);
    assert_int_equal(rc, 0);
    assert_true(calls > 3);
    assert_int_equal(domain_kill(d), 0); /* there is nothing left to do */
    host_inject_yields(0, 0);
    assert_null(heap_alloc_domain(d, 0, HEAP_ANY, M2P_INVALID));
    kit_settle();
    assert_non_null(domain_get(1)); /* we hold it */
    domain_put(d);
    domain_put(d);
    kit_settle();
    assert_null(domain_get(1));
    domain_audit();
}

static void test_rights_of_callers(void **state)
{
    struct domain *d0 = kit_domain(0, 1);
    struct domain *d1 = kit_domain(1, 1);

    (void)state;
    assert_int_equal(priv_check_target(d0->vcpu[0], d1), 0);
    assert_int_equal(priv_check_target(d1->vcpu[0], d1), 0);
    assert_int_equal(priv_check_target(d1->vcpu[0], d0), -EPERM);
    assert_int_equal(hcall_check_who(d0->vcpu[0], WHO_HW), 0);
    assert_int_equal(hcall_check_who(d0->vcpu[0], WHO_CTL), 0);
    assert_int_equal(hcall_check_who(d1->vcpu[0], WHO_ANY), 0);
    assert_int_equal(hcall_check_who(d1->vcpu[0], WHO_HW), -EPERM);
    assert_int_equal(hcall_check_who(d1->vcpu[0], WHO_CTL), -EPERM);
    struct domain *g = domain_get_self_or(d1->vcpu[0], DOMID_SELF);
    assert_ptr_equal(g, d1);
    domain_put(g);
    g = domain_get_self_or(d1->vcpu[0], 0);
    assert_ptr_equal(g, d0);
    domain_put(g);
    assert_null(domain_get_self_or(d1->vcpu[0], 55));
}

int main(void)
{
    kit_start(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_ids, kit_teardown),
        cmocka_unit_test_teardown(test_creation_fails, kit_teardown),
        cmocka_unit_test_teardown(test_shutdown, kit_teardown),
        cmocka_unit_test_teardown(test_dom0_ends_the_machine, kit_teardown),
        cmocka_unit_test_teardown(test_kill, kit_teardown),
        cmocka_unit_test_teardown(test_rights_of_callers, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
