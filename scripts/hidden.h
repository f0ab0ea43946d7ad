/* SPDX-License-Identifier: MIT */
/* Included before every hypervisor source: all symbols are ours, so none is reached through a table
 * of addresses. */
#pragma GCC visibility push(hidden)
