# SPDX-License-Identifier: MIT
# The toolstack's command table: the real programs on a pretended hypervisor (make check-cli).
cli-fake-objs := $(O)/host/tests/cli/fake_xen.o
cli-tool-objs = $(patsubst %,$(O)/host/%,$(sort $(filter-out $(libjoist-port-y),$(tool-$(1)-y))))
cflags-tests/cli/fake_xen.o := -I tests/cli
cflags-tests/cli/fakectl.o := -I tests/cli

cli-bin := $(addprefix $(O)/cli/,joistd joist-stored joist-consoled joist joist-fbd fakectl)

# Second expansion of the lists: the tools' own files.mk may be read later than this one.
.SECONDEXPANSION:
$(O)/cli/joistd $(O)/cli/joist-stored $(O)/cli/joist-consoled: $(O)/cli/%: $$(call cli-tool-objs,$$*) $(cli-fake-objs) $(O)/libtools-host.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $^ $(filter-out $(libjoist-ldlibs),$(tool-$*-ldlibs)) $(host-libs) -o $@

$(O)/cli/joist: $$(call cli-tool-objs,joist) $(O)/libtools-host.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $^ $(tool-joist-ldlibs) $(host-libs) -o $@

$(O)/cli/joist-fbd: $$(call cli-tool-objs,joist-fbd) $(cli-fake-objs) $(O)/libtools-host.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $^ -lvncserver $(host-libs) -o $@

$(O)/cli/fakectl: $(O)/host/tests/cli/fakectl.o $(cli-fake-objs)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $^ $(host-libs) -o $@

check-cli: $(cli-bin)
	$(Q)$(PYTHON) scripts/stage.py $(O)/test-results cli tests/cli/run_host.py --bin $(O)/cli

.PHONY: check-cli
