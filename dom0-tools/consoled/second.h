/* SPDX-License-Identifier: MIT */
/* Consoles from number 1 on, which the guest's own driver connects. */
#pragma once

#include "consoled/guests.h"

/* Looks at all of a guest's, opens those whose front end waits and closes those whose has gone. */
void second_look(struct guests *g, uint16_t domid);
