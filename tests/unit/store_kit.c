/* SPDX-License-Identifier: MIT */
/* The shared part of the store daemon's tests. */

#include "tests/unit/store_kit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/domctl.h"
#include "abi/hcall_nr.h"
#include "libjoist/port.h"

#define REMOTE_PORT 7u

struct fake_machine *fake_memory;

/* ---- the seam --------------------------------------------------------------------------- */

static int the_fd = -1;

int port_call_open(struct port_call **out)
{
    *out = (struct port_call *)(void *)&fake;
    return 0;
}

void port_call_close(struct port_call *p)
{
    (void)p;
}

/* The one control call of the daemon: the state of a domain, or of the next that exists. */
long port_call(struct port_call *p, unsigned int nr, const struct joist_args *args)
{
    struct xen_domctl *op = (struct xen_domctl *)(uintptr_t)args->arg[0];

    (void)p;
    if (nr != __HYPERVISOR_domctl || op->cmd != XEN_DOMCTL_getdomaininfo) {
        return -ENOSYS;
    }
    for (uint16_t d = op->domain; d < FAKE_DOMAINS; d++) {
        if (fake.is_there[d]) {
            op->u.getdomaininfo.domain = d;
            op->u.getdomaininfo.flags = (fake.is_dying[d] ? XEN_DOMINF_dying : 0) |
                                        (fake.is_shutdown[d] ? (uint32_t)XEN_DOMINF_shutdown : 0);
            return 0;
        }
    }
    return -ESRCH;
}

void *port_call_buf_alloc(struct port_call *p, size_t size)
{
    (void)p;
    return calloc(1, size);
}

void port_call_buf_free(struct port_call *p, void *buf)
{
    (void)p;
    free(buf);
}

int port_evtchn_open(struct port_evtchn **out)
{
    the_fd = eventfd(0, EFD_NONBLOCK);
    memset(fake.port_domid, 0xff, sizeof(fake.port_domid));
    memset(fake.port_pending, 0, sizeof(fake.port_pending));
    *out = (struct port_evtchn *)(void *)&the_fd;
    return 0;
}

/* The kernel closes all ports of a process that ends. */
void port_evtchn_close(struct port_evtchn *p)
{
    (void)p;
    close(the_fd);
}

int port_evtchn_fd(struct port_evtchn *p)
{
    (void)p;
    return the_fd;
}

static int new_port(uint16_t domid)
{
    for (int i = 1; i < 64; i++) {
        if (fake.port_domid[i] == 0xffff) {
            fake.port_domid[i] = domid;
            fake.port_pending[i] = false;
            return i;
        }
    }
    return -ENOSPC;
}

int port_evtchn_bind_virq(struct port_evtchn *p, unsigned int virq)
{
    (void)p;
    return virq == 3 ? new_port(0xfffe) : -EINVAL;
}

int port_evtchn_bind_interdomain(struct port_evtchn *p, uint16_t domid, uint32_t remote_port)
{
    (void)p;
    if (domid >= FAKE_DOMAINS || !fake.is_there[domid] || remote_port < REMOTE_PORT) {
        return -EINVAL;
    }
    return new_port(domid);
}

int port_evtchn_bind_unbound(struct port_evtchn *p, uint16_t domid)
{
    (void)p;
    return new_port(domid);
}

int port_evtchn_unbind(struct port_evtchn *p, uint32_t port)
{
    (void)p;
    fake.port_domid[port] = 0xffff;
    return 0;
}

int port_evtchn_notify(struct port_evtchn *p, uint32_t port)
{
    (void)p;
    assert_true(port < 64 && fake.port_domid[port] < FAKE_DOMAINS);
    fake.kicks[fake.port_domid[port]]++;
    return 0;
}

int port_evtchn_pending(struct port_evtchn *p)
{
    (void)p;
    for (int i = 0; i < 64; i++) {
        if (fake.port_pending[i]) {
            fake.port_pending[i] = false;
            return i;
        }
    }
    return -EAGAIN;
}

int port_evtchn_unmask(struct port_evtchn *p, uint32_t port)
{
    (void)p;
    (void)port;
    return 0;
}

int port_gnttab_open(struct port_gnttab **out)
{
    *out = (struct port_gnttab *)(void *)&fake;
    return 0;
}

void port_gnttab_close(struct port_gnttab *p)
{
    (void)p;
}

void *port_gnttab_map(struct port_gnttab *p, uint16_t domid, uint32_t ref, int *rc)
{
    (void)p;
    *rc = 0;
    if (domid >= FAKE_DOMAINS || !fake.is_there[domid] || ref > 1) {
        *rc = -EINVAL;
        return NULL;
    }
    fake.is_mapped[domid] = true;
    return fake.page[domid].bytes;
}

int port_gnttab_unmap(struct port_gnttab *p, void *page)
{
    (void)p;
    for (int i = 0; i < FAKE_DOMAINS; i++) {
        if (page == fake.page[i].bytes) {
            assert_true(fake.is_mapped[i]);
            fake.is_mapped[i] = false;
        }
    }
    return 0;
}

int port_foreign_open(struct port_foreign **out)
{
    *out = (struct port_foreign *)(void *)&fake;
    return 0;
}

void port_foreign_close(struct port_foreign *p)
{
    (void)p;
}

int port_evtchn_restrict(struct port_evtchn *p, uint16_t domid)
{
    (void)p;
    (void)domid;
    return 0;
}

int port_foreign_restrict(struct port_foreign *p, uint16_t domid)
{
    (void)p;
    (void)domid;
    return 0;
}

void *port_foreign_map(struct port_foreign *p, const struct joist_foreign *req, int *rc)
{
    (void)p;
    (void)req;
    *rc = -EINVAL;
    return NULL;
}

int port_foreign_unmap(struct port_foreign *p, void *addr, size_t pfn_count)
{
    (void)p;
    (void)addr;
    (void)pfn_count;
    return -EINVAL;
}

int port_resource_map(struct port_foreign *p, struct joist_resource *res)
{
    (void)p;
    (void)res;
    return -EINVAL;
}

int port_resource_unmap(struct port_foreign *p, struct joist_resource *res)
{
    (void)p;
    (void)res;
    return -EINVAL;
}

void *port_xsd_map(uint32_t *port, int *rc)
{
    *port = REMOTE_PORT;
    *rc = 0;
    return fake.page[0].bytes;
}

void port_xsd_unmap(void *page)
{
    (void)page;
}

bool port_has_hypervisor(void)
{
    return true;
}

/* ---- the daemon ------------------------------------------------------------------------- */

void kit_start(struct kit *k)
{
    k->server = calloc(1, sizeof(*k->server));
    server_init(k->server);
    k->server->loop = evloop_new();
    assert_int_equal(joist_open(&k->xen), 0);
    k->server->xen = k->xen;
    assert_int_equal(server_load(k->server, k->journal), 0);
    assert_int_equal(server_attach(k->server), 0);
    kit_settle(k);
}

/* Lets go of the memory and of nothing else: rings and journal stay as they are. */
void kit_kill(struct kit *k)
{
    struct server *s = k->server;
    char *path = s->journal.path;
    struct joist *xen = s->xen;

    s->journal.path = NULL;
    journal_close(&s->journal);
    s->journal.fd = -1;
    free(path);
    for (struct conn *c = s->conns; c; c = c->next) {
        c->is_dirty = false;
    }
    s->dirty = NULL;
    server_free(s);
    joist_close(xen);
    evloop_free(s->loop);
    free(s);
    k->server = NULL;
}

void kit_restart(struct kit *k)
{
    kit_kill(k);
    kit_start(k);
}

void kit_prepare(struct kit *k)
{
    if (!fake_memory) {
        fake_memory = mmap(NULL, sizeof(*fake_memory), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(fake_memory != MAP_FAILED);
    }
    memset(&fake, 0, sizeof(fake));
    *k = (struct kit){ .next_id = 100 };
    (void)snprintf(k->journal, sizeof(k->journal), "/tmp/store-test-%d", (int)getpid());
    (void)unlink(k->journal);
    for (int i = 0; i < FAKE_DOMAINS; i++) {
        fake.is_there[i] = true;
    }
}

void kit_begin(struct kit *k, int guests)
{
    char text[32];

    kit_prepare(k);
    kit_start(k);
    for (int i = 1; i <= guests; i++) {
        (void)snprintf(text, sizeof(text), "%d|77|%u|", i, REMOTE_PORT);
        OK(ask(k, 0, XS_INTRODUCE, 0, text));
        (void)snprintf(text, sizeof(text), "/local/domain/%d|", i);
        OK(ask(k, 0, XS_MKDIR, 0, text));
        (void)snprintf(text, sizeof(text), "/local/domain/%d|n%d|", i, i);
        OK(ask(k, 0, XS_SET_PERMS, 0, text));
    }
}

void kit_end(struct kit *k)
{
    IS(ask(k, 0, XS_CONTROL, 0, "check|"), "OK|");
    kit_kill(k);
    for (int i = 0; i < FAKE_DOMAINS; i++) {
        buf_free(&k->in[i]);
        buf_free(&k->events[i]);
        assert_false(fake.is_mapped[i]);
    }
    (void)unlink(k->journal);
}

void kit_settle(struct kit *k)
{
    int turns = 0;

    do {
        ring_on_event(&k->server->evtchn, 0);
        assert_int_equal(server_turn(k->server, 0), 0);
    } while ((k->server->ready || k->server->dirty) && ++turns < 10000);
    assert_true(turns < 10000);
}

void kit_kick(struct kit *k, uint16_t domid)
{
    (void)k;
    for (int i = 0; i < 64; i++) {
        if (fake.port_domid[i] == domid) {
            fake.port_pending[i] = true;
        }
    }
}

void kit_dom_exc(struct kit *k)
{
    kit_kick(k, 0xfffe);
    kit_settle(k);
}

/* ---- clients ---------------------------------------------------------------------------- */

size_t ring_feed(uint16_t domid, const void *data, size_t len)
{
    struct xenstore_domain_interface *ring = &fake.page[domid].ring;
    uint32_t prod = ring->req_prod;
    uint32_t cons = __atomic_load_n(&ring->req_cons, __ATOMIC_ACQUIRE);
    size_t n = 0;

    while (n < len && prod - cons < XENSTORE_RING_SIZE) {
        ring->req[MASK_XENSTORE_IDX(prod++)] = ((const char *)data)[n++];
    }
    __atomic_store_n(&ring->req_prod, prod, __ATOMIC_RELEASE);
    return n;
}

static void drink(struct kit *k, uint16_t domid)
{
    struct xenstore_domain_interface *ring = &fake.page[domid].ring;
    uint32_t cons = ring->rsp_cons;
    uint32_t prod = __atomic_load_n(&ring->rsp_prod, __ATOMIC_ACQUIRE);

    assert_true(prod - cons <= XENSTORE_RING_SIZE);
    while (cons != prod) {
        buf_add(&k->in[domid], &ring->rsp[MASK_XENSTORE_IDX(cons++)], 1);
    }
    __atomic_store_n(&ring->rsp_cons, cons, __ATOMIC_RELEASE);
}

/* Takes one whole message out of what was read. */
static bool take(struct kit *k, uint16_t domid, struct answer *a)
{
    struct buf *in = &k->in[domid];

    if (in->len < sizeof(a->head)) {
        return false;
    }
    memcpy(&a->head, buf_data(in), sizeof(a->head));
    assert_true(a->head.len <= XENSTORE_PAYLOAD_MAX);
    if (in->len < sizeof(a->head) + a->head.len) {
        return false;
    }
    buf_drop(in, sizeof(a->head));
    memcpy(a->data, buf_data(in), a->head.len);
    a->data[a->head.len] = '\0';
    buf_drop(in, a->head.len);
    return true;
}

const struct answer *answer_next(struct kit *k, uint16_t domid)
{
    static struct answer a;

    drink(k, domid);
    while (take(k, domid, &a)) {
        if (a.head.type != XS_WATCH_EVENT) {
            return &a;
        }
        assert_int_equal(a.head.req_id, 0);
        assert_int_equal(a.head.tx_id, 0);
        buf_printf(&k->events[domid], "%s|%s\n", a.data, a.data + strlen(a.data) + 1);
    }
    return NULL;
}

const struct answer *ask_bytes(struct kit *k, uint16_t domid, const struct xsd_sockmsg *head,
                               const void *payload)
{
    uint8_t message[sizeof(*head) + XENSTORE_PAYLOAD_MAX];
    size_t len = sizeof(*head) + head->len;
    size_t sent = 0;
    const struct answer *a = NULL;

    assert_true(head->len <= XENSTORE_PAYLOAD_MAX);
    memcpy(message, head, sizeof(*head));
    memcpy(message + sizeof(*head), payload, head->len);
    for (int i = 0; i < 200 && !a; i++) {
        sent += ring_feed(domid, message + sent, len - sent);
        kit_kick(k, domid);
        kit_settle(k);
        a = answer_next(k, domid);
    }
    if (a) {
        assert_int_equal(a->head.req_id, head->req_id);
        assert_int_equal(a->head.tx_id, head->tx_id);
    }
    return a;
}

const struct answer *ask(struct kit *k, uint16_t domid, uint32_t type, uint32_t tx,
                         const char *text)
{
    char payload[XENSTORE_PAYLOAD_MAX];
    struct xsd_sockmsg head = { .type = type, .req_id = k->next_id++, .tx_id = tx };

    head.len = (uint32_t)strlen(text);
    for (size_t i = 0; i < head.len; i++) {
        payload[i] = text[i] == '|' ? '\0' : text[i];
    }
    return ask_bytes(k, domid, &head, payload);
}

const char *events(struct kit *k, uint16_t domid)
{
    static char text[16384];

    kit_kick(k, domid);
    kit_settle(k);
    assert_null(answer_next(k, domid));
    kit_kick(k, domid);
    kit_settle(k);
    assert_null(answer_next(k, domid));
    size_t n = k->events[domid].len;
    assert_true(n < sizeof(text));
    if (n) {
        memcpy(text, buf_data(&k->events[domid]), n);
    }
    text[n] = '\0';
    buf_clear(&k->events[domid]);
    return text;
}

uint32_t txn_start(struct kit *k, uint16_t domid)
{
    const struct answer *a = ask(k, domid, XS_TRANSACTION_START, 0, "|");

    assert_non_null(a);
    assert_int_equal(a->head.type, XS_TRANSACTION_START);
    return (uint32_t)strtoul(a->data, NULL, 10);
}

void check_answer(const struct answer *a, const char *err, const char *text, const char *file,
                  int line)
{
    char want[XENSTORE_PAYLOAD_MAX + 1];
    size_t len = 0;

    if (!a) {
        print_error("no answer at all\n");
        _fail(file, line);
        return;
    }
    if (err) {
        if (a->head.type != XS_ERROR || strcmp(a->data, err) != 0) {
            print_error("want error %s, got type %u \"%s\"\n", err, a->head.type, a->data);
            _fail(file, line);
        }
        return;
    }
    for (; text[len]; len++) {
        want[len] = text[len] == '|' ? '\0' : text[len];
    }
    if (a->head.type == XS_ERROR || a->head.len != len || memcmp(a->data, want, len) != 0) {
        print_error("want \"%s\", got type %u length %u \"%s\"\n", text, a->head.type, a->head.len,
                    a->data);
        _fail(file, line);
    }
}
