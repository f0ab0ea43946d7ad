/* SPDX-License-Identifier: MIT */
/* The process gives up what it no longer needs. */
#pragma once

/* Becomes user joist-fbd (or nobody) with no other group, no new privileges, and only the system
   calls that serving needs. 0 or a negative errno after a line in the log. */
int confine(void);
