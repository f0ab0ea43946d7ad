/* SPDX-License-Identifier: MIT */
/* The inside of a library handle: one lazily opened port handle for each device. */
#pragma once

#include "libjoist/port.h"

struct joist {
    struct port_call *call;
    struct port_evtchn *evtchn;
    struct port_gnttab *gnttab;
    struct port_foreign *foreign;
};

/* Each opens its device when that has not been done, and says why it could not be. */
int joist_need_call(struct joist *h);
int joist_need_evtchn(struct joist *h);
int joist_need_gnttab(struct joist *h);
int joist_need_foreign(struct joist *h);
