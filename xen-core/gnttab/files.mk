# SPDX-License-Identifier: MIT
# Grant tables.
core-y += xen-core/gnttab/gnttab.o xen-core/gnttab/maptrack.o xen-core/gnttab/gnttab_op.o
core-y += xen-core/gnttab/gnttab_copy.o
