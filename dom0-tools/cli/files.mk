# SPDX-License-Identifier: MIT
# joist, the command line client of joistd.
tools-y += joist
tool-joist-dir := bin
tool-joist-y := $(addprefix dom0-tools/cli/,joist.o client.o cmd_create.o cmd_console.o cmd_list.o cmd_host.o \
    cmd_life.o cmd_block.o cmd_snapshot.o cmd_network.o cmd_screen.o)
tool-joist-ldlibs := -ljansson -lpng
# images and one-command guests
tool-joist-y += $(addprefix dom0-tools/cli/,cmd_image.o cmd_run.o run_stream.o) dom0-tools/run/wire.o $(image-y)
tool-joist-ldlibs += -lcrypt
