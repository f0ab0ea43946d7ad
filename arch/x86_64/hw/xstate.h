/* SPDX-License-Identifier: MIT */
/* The floating-point and vector state of vcpus. */
#pragma once

struct vcpu;

/* Boot cpu: which parts the processor has, and the size of the area. */
void xstate_detect(void);
/* Every cpu. */
void xstate_cpu_init(void);
