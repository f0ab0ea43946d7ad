# SPDX-License-Identifier: MIT
# The console daemon. consoled-core-y is all of it but main(), for the tests.
consoled-core-y := dom0-tools/consoled/channel.o dom0-tools/consoled/console.o dom0-tools/consoled/guests.o \
    dom0-tools/consoled/logfile.o dom0-tools/consoled/pty.o dom0-tools/consoled/ring.o dom0-tools/consoled/second.o

tools-y += joist-consoled
tool-joist-consoled-y := dom0-tools/consoled/main.o dom0-tools/libjoist/store.o $(consoled-core-y) $(libjoist-y) \
    $(libjoist-port-y)
tool-joist-consoled-ldlibs := $(libjoist-ldlibs)

tool-unit-y += test_console
unit-test_console-objs := $(consoled-core-y) dom0-tools/libjoist/store.o $(store-test-objs)

# the store's client under a guest that writes without end, and the console daemon on it
tool-unit-y += test_store_client
unit-test_store_client-objs := $(consoled-core-y) dom0-tools/libjoist/store.o $(store-test-objs)

fuzz-y += fuzz_console
fuzz-fuzz_console-objs := $(consoled-core-y) dom0-tools/libjoist/store.o $(store-test-objs)
fuzz-fuzz_console-lib := $(O)/libtools-host.a
fuzz-fuzz_console-ldlibs := -lcmocka
