/* SPDX-License-Identifier: MIT */
/* The console's input: for dom0 through a ring and VIRQ_CONSOLE, or for the hypervisor's keys.  The
 * switch character typed three times moves it. */
#include "base/console.h"

#include <stdint.h>

#include "abi/xen.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/upcall.h"

#define RING_SIZE    1024u /* a power of two */
#define SWITCH_COUNT 3u

static struct spinlock lock = SPINLOCK(LOCK_console);
static char ring[RING_SIZE];       /* [console] */
static uint32_t ring_in, ring_out; /* [console] */
static bool to_dom0;               /* [console] */
static uint32_t switch_seen;       /* [console] */
static char switch_char = 1;
static bool keep_input;

void console_set_switch(unsigned int control, bool keep)
{
    switch_char = (char)control;
    keep_input = keep;
}

static void announce(void)
{
    char key = (char)('a' + switch_char - 1);

    log_at(LOG_ERR, "*** serial input to %s (CTRL-%c three times to switch)%s",
           to_dom0 ? "domain 0" : "the hypervisor", key, to_dom0 ? "" : "; 'h' for help");
}

void console_give_to_dom0(void)
{
    unsigned long flags = spin_lock_irqsave(&lock);

    to_dom0 = !keep_input;
    spin_unlock_irqrestore(&lock, flags);
}

/* What is to be done with c, decided under the lock and done outside it. */
enum input { INPUT_NONE, INPUT_DOM0, INPUT_KEY, INPUT_SWITCHED };

static enum input take(char c)
{
    if (switch_char != 0 && c == switch_char) {
        if (++switch_seen == SWITCH_COUNT) {
            switch_seen = 0;
            to_dom0 = !to_dom0;
            return INPUT_SWITCHED;
        }
    } else {
        switch_seen = 0;
    }
    if (!to_dom0) {
        return c == switch_char ? INPUT_NONE : INPUT_KEY;
    }
    /* A full ring drops what is typed: nobody reads. */
    if (ring_in - ring_out < RING_SIZE) {
        ring[ring_in++ & (RING_SIZE - 1)] = c;
    }
    return INPUT_DOM0;
}

void console_input(char c)
{
    unsigned long flags = spin_lock_irqsave(&lock);
    enum input what = take(c);
    spin_unlock_irqrestore(&lock, flags);

    if (what == INPUT_SWITCHED) {
        announce();
    } else if (what == INPUT_KEY) {
        console_key(c);
    } else if (what == INPUT_DOM0 && dom0 != NULL) {
        virq_raise_global(dom0, VIRQ_CONSOLE);
    }
}

size_t console_read(char *to, size_t size)
{
    unsigned long flags = spin_lock_irqsave(&lock);
    size_t n = 0;

    while (n < size && ring_out != ring_in) {
        to[n++] = ring[ring_out++ & (RING_SIZE - 1)];
    }
    spin_unlock_irqrestore(&lock, flags);
    return n;
}
