# SPDX-License-Identifier: MIT
# The store daemon. stored-core-y is all of it but main(), for the tests.
stored-core-y := dom0-tools/stored/acct.o dom0-tools/stored/conn.o dom0-tools/stored/conn_ring.o \
    dom0-tools/stored/conn_sock.o dom0-tools/stored/control.o dom0-tools/stored/domain.o \
    dom0-tools/stored/journal.o dom0-tools/stored/live.o dom0-tools/stored/ops.o \
    dom0-tools/stored/ops_domain.o dom0-tools/stored/path.o dom0-tools/stored/perm.o \
    dom0-tools/stored/quota.o dom0-tools/stored/restore.o dom0-tools/stored/server.o \
    dom0-tools/stored/tree.o dom0-tools/stored/txn.o dom0-tools/stored/view.o \
    dom0-tools/stored/watch.o

tools-y += joist-stored
tool-joist-stored-y := dom0-tools/stored/main.o $(stored-core-y) $(libjoist-y) $(libjoist-port-y)
tool-joist-stored-ldlibs := $(libjoist-ldlibs)

# The daemon's tests: everything but main(), on a seam that is plain memory.
store-test-objs := tests/unit/store_kit.o $(stored-core-y) $(libjoist-y)
store-tests := test_store_ops test_store_txn test_store_watch test_store_ring test_store_restart \
    test_store_kill test_store_rights
tool-unit-y += $(store-tests)
$(foreach t,$(store-tests),$(eval unit-$(t)-objs := $(store-test-objs)))

fuzz-y += fuzz_store_wire
fuzz-fuzz_store_wire-objs := $(store-test-objs)
fuzz-fuzz_store_wire-lib := $(O)/libtools-host.a
fuzz-fuzz_store_wire-ldlibs := -lcmocka
