/* SPDX-License-Identifier: MIT */
/* Attack: indices of the console's and the store's rings that cannot be, at the daemons of the
 * control domain. */
#include "kit/kit.h"

#include "abi/io.h"

const char kit_name[] = "rings";

static volatile struct xencons_interface *console;
static volatile struct xenstore_domain_interface *store;

static void kick(evtchn_port_t port)
{
    for (u32 i = 0; i < 20; i++) {
        event_send(port);
        spin_ns(2000000);
    }
}

static void at_console(void)
{
    static const u32 jumps[] = { 2049, 4096, 65536, 0x7fffffff, 0x80000000, 0xffffffff };

    for (u32 i = 0; i < ARRAY(jumps); i++) {
        u32 cons = console->out_cons;

        console->out_prod = cons + jumps[i];
        console->in_cons += jumps[i];
        kick(si->console.domU.evtchn);
        console->out_prod = console->out_cons;
        console->in_cons = console->in_prod;
        kick(si->console.domU.evtchn);
    }
}

/* With indices that can be again, what is written is taken. */
static void console_lives(void)
{
    u64 end = now() + 20000000000;

    print("still there\r\n");
    while (console->out_cons != console->out_prod && now() < end) {
        kick(si->console.domU.evtchn);
    }
    check_eq(console->out_cons, console->out_prod);
}

static void at_store(void)
{
    static const u32 jumps[] = { 1025, 4096, 0x80000000, 0xffffffff };
    u8 *bytes = (u8 *)store;

    for (u32 i = 0; i < ARRAY(jumps); i++) {
        store->req_prod += jumps[i];
        store->rsp_cons += jumps[i];
        kick(si->store_evtchn);
    }
    /* garbage for a message, again and again */
    for (u32 round = 0; round < 20; round++) {
        for (u32 i = 0; i < 1024; i++) {
            bytes[i] = (u8)(i * 131 + round * 17);
        }
        store->req_prod = store->req_cons + 1024;
        kick(si->store_evtchn);
    }
}

void test_main(void)
{
    if (is_dom0) {
        test_skip("domain 0 has no rings");
        return;
    }
    console = (void *)(KIT_BASE + mfn_to_pfn(si->console.domU.mfn) * PAGE);
    store = (void *)(KIT_BASE + mfn_to_pfn(si->store_mfn) * PAGE);
    console_lives();
    at_store();
    at_console(); /* the daemon may have given us up for good: the verdict is in its log then */
}
