# SPDX-License-Identifier: MIT
# joistd, the daemon that owns domains.
tools-common-y += dom0-tools/common/fail.o

# what reads a configuration: free of side effects, and so in the host tests too; classes of devices are added here
joist-config-y := $(addprefix dom0-tools/joistd/,config.o xlcfg.o devcfg.o devnodes.o disk.o vfb.o channel.o)
joist-config-y += $(addprefix dom0-tools/joistd/,vif.o vif_parse.o)
joist-config-y += dom0-tools/joistd/bootcfg.o $(boot-y)

tools-y += joistd
tool-joistd-y := $(addprefix dom0-tools/joistd/,main.o api.o verbs.o names.o guest.o life.o job.o \
    state.o host.o skeleton.o report.o dev.o dev_remote.o backend.o devop.o verbs_dev.o disk_host.o loop.o vfb_host.o vfb_screen.o \
    nbd.o nbd_wall.o) $(joist-config-y) dom0-tools/libjoist/store.o \
    $(addprefix dom0-tools/build/,pvbuild.o domain.o memory.o context.o image.o unpack.o) \
    $(libjoist-y) $(libjoist-port-y)
tool-joistd-y += $(addprefix dom0-tools/joistd/,vif_host.o net_link.o net_rules.o net_script.o)
tool-joistd-ldlibs := -lmnl -lnftables -ljansson $(libjoist-ldlibs) -llz4 -llzma -lzstd -lz

tool-unit-y += test_config
unit-test_config-objs := $(joist-config-y)
unit-test_config-ldlibs := -ljansson

tool-unit-y += test_vif
unit-test_vif-objs := $(joist-config-y) $(addprefix dom0-tools/joistd/,net_link.o net_rules.o net_script.o)
unit-test_vif-ldlibs := -lmnl -lnftables -ljansson

tool-unit-y += test_disk
unit-test_disk-objs := $(joist-config-y) dom0-tools/joistd/loop.o
unit-test_disk-ldlibs := -ljansson

tool-unit-y += test_unpack
unit-test_unpack-objs := dom0-tools/build/unpack.o
unit-test_unpack-ldlibs := -llz4 -llzma -lzstd -lz

fuzz-y += fuzz_xlcfg
fuzz-fuzz_xlcfg-objs := $(unit-test_config-objs)
fuzz-fuzz_xlcfg-lib = $(O)/libtools-host.a
fuzz-fuzz_xlcfg-ldlibs := -ljansson

fuzz-y += fuzz_disk
fuzz-fuzz_disk-objs := $(unit-test_config-objs)
fuzz-fuzz_disk-lib = $(O)/libtools-host.a
fuzz-fuzz_disk-ldlibs := -ljansson

tool-unit-y += test_vfb
unit-test_vfb-objs := $(joist-config-y)
unit-test_vfb-ldlibs := -ljansson

tool-unit-y += test_nbd
unit-test_nbd-objs := $(addprefix dom0-tools/joistd/,nbd.o nbd_wall.o loop.o)

tool-unit-y += test_nbd_wall
unit-test_nbd_wall-objs := dom0-tools/joistd/nbd_wall.o
