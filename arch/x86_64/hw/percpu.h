/* SPDX-License-Identifier: MIT */
/* Making a cpu's area, and the descriptor windows in it. */
#pragma once

/* Map stacks, GDT window and data of `cpu`. For cpu 0 also loads its tables; others do at their
 * start. */
void percpu_init(unsigned int cpu);
