# SPDX-License-Identifier: MIT
# Event channels.
core-y += xen-core/evtchn/evtchn.o xen-core/evtchn/evtchn_op.o
