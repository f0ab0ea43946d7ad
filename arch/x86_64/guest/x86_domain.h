/* SPDX-License-Identifier: MIT */
/* x86 parts of domains that control calls and the builder of domain 0 use. */
#pragma once

/* Fill one page with the hypercall stubs: 32 bytes a call. */
void x86_hypercall_page_fill(void *page);
