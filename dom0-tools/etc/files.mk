# SPDX-License-Identifier: MIT
# What is installed besides programs: an example guest, units of systemd, manual pages.
etc-y += dom0-tools/etc/example.cfg
units-y += $(addprefix dom0-tools/etc/,joist-stored.service joist-consoled.service joistd.service joist-backend.service proc-xen.mount)
man-y += docs/man/joist.8 docs/man/joistd.8 docs/man/joist.cfg.5 docs/man/joist-stored.8 docs/man/joist-consoled.8 docs/man/joist-fbd.8
units-y += dom0-tools/etc/joist-guests.service
