/* SPDX-License-Identifier: MIT */
/* A guest's keyboard and pointer. */

#include "fbd/guestkbd.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include <sys/mman.h>

_Static_assert(KEY_CODES == KEY_MAX + 1, "key codes");

static uint32_t load(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

int guestkbd_open(struct guestkbd *k, uint64_t frame, uint32_t port, struct fail *f)
{
    struct joist_foreign req = {
        .domid = k->domid, .prot = PROT_READ | PROT_WRITE, .pfns = &frame, .pfn_count = 1
    };
    int rc;

    k->port = -1;
    k->page = joist_foreign_map(k->xen, &req, &rc);
    if (!k->page) {
        return fail_set(f, rc, "keyboard", "shared page", "frame %llx cannot be mapped: %s",
                        (unsigned long long)frame, joist_strerror(rc));
    }
    k->put = load(&k->page->in_prod); /* goes on after a restart of ours */
    k->port = joist_evtchn_bind_interdomain(k->xen, k->domid, port);
    if (k->port < 0) {
        rc = fail_set(f, k->port, "keyboard", "event channel", "port %u cannot be bound: %s", port,
                      joist_strerror(k->port));
        guestkbd_close(k);
        return rc;
    }
    return 0;
}

void guestkbd_close(struct guestkbd *k)
{
    if (k->port >= 0) {
        (void)joist_evtchn_unbind(k->xen, (uint32_t)k->port);
    }
    if (k->page) {
        (void)joist_foreign_unmap(k->xen, k->page, 1);
    }
    k->port = -1;
    k->page = NULL;
}

/* A guest that does not read loses events: what it says about its reading decides nothing else. */
static bool put(struct guestkbd *k, const union kbd_event *e)
{
    if (!k->page || k->put - load(&k->page->in_cons) >= KBD_IN_LENGTH) {
        return false;
    }
    memcpy((uint8_t *)k->page + KBD_IN_OFFSET + (size_t)(k->put % KBD_IN_LENGTH) * sizeof(*e), e,
           sizeof(*e));
    k->put++;
    __atomic_store_n(&k->page->in_prod, k->put, __ATOMIC_RELEASE);
    return true;
}

static void notify(struct guestkbd *k)
{
    if (k->port >= 0) {
        (void)joist_evtchn_notify(k->xen, (uint32_t)k->port);
    }
}

static void put_key(struct guestkbd *k, uint32_t code, bool is_down)
{
    union kbd_event e = { .bytes = { 0 } };
    uint8_t bit = (uint8_t)(1u << (code % 8));

    e.key = (struct kbd_key){ .type = KBD_EVENT_KEY, .pressed = is_down, .keycode = code };
    if (put(k, &e)) {
        k->down[code / 8] = (uint8_t)(is_down ? k->down[code / 8] | bit : k->down[code / 8] & ~bit);
    }
}

void guestkbd_key(struct guestkbd *k, uint32_t keysym, bool is_down)
{
    uint32_t code = keymap_code(keysym);

    if (code) {
        put_key(k, code, is_down);
        notify(k);
    }
}

static void put_place(struct guestkbd *k, int32_t x, int32_t y, int32_t wheel)
{
    union kbd_event e = { .bytes = { 0 } };

    if (k->is_absolute) {
        e.pos = (struct kbd_pos){ .type = KBD_EVENT_POS, .abs_x = x, .abs_y = y, .rel_z = wheel };
    } else {
        e.motion = (struct kbd_motion){
            .type = KBD_EVENT_MOTION, .rel_x = x - k->x, .rel_y = y - k->y, .rel_z = wheel
        };
    }
    (void)put(k, &e);
    k->x = x;
    k->y = y;
}

void guestkbd_pointer(struct guestkbd *k, int32_t x, int32_t y, uint8_t buttons)
{
    static const uint16_t codes[] = { BTN_LEFT, BTN_MIDDLE, BTN_RIGHT };
    uint8_t changed = buttons ^ k->buttons;
    uint8_t pressed = buttons & changed;
    int32_t wheel = (pressed & 0x10 ? 1 : 0) - (pressed & 0x08 ? 1 : 0);

    if (!k->page) {
        return;
    }
    if (x != k->x || y != k->y || wheel) {
        put_place(k, x, y, wheel);
    }
    for (unsigned int i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (changed & (1u << i)) {
            put_key(k, codes[i], (buttons >> i) & 1);
        }
    }
    k->buttons = buttons;
    notify(k);
}

void guestkbd_release(struct guestkbd *k)
{
    for (uint32_t code = 0; code < KEY_CODES; code++) {
        if (k->down[code / 8] & (1u << (code % 8))) {
            put_key(k, code, false);
        }
    }
    k->buttons = 0;
    notify(k);
}
