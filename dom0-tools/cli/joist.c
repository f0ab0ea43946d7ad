/* SPDX-License-Identifier: MIT */
/* joist: the table of verbs, their options and help texts, and the reading of command lines. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#include "version.h"

static const struct option_row no_options[] = { { 0, NULL, false, NULL } };

static const struct option_row create_options[] = {
    { 'c', "console", false, "attach to the console at once" },
    { 'p', "paused", false, "leave the guest paused" },
    { 'n', "dry-run", false, "only check the configuration and print it" },
    { 'q', "quiet", false, "say nothing when it works" },
    { 'f', "file", true, "the configuration file (instead of the first word)" },
    { 'e', "escape", true, "with -c: the character that leaves the console, as ^X (default ^])" },
    { 0, NULL, false, NULL },
};

static const struct option_row console_options[] = {
    { 'e', "escape", true, "the character that leaves, as ^X (default ^])" },
    { 'n', "num", true, "the console's number (default 0)" },
    { 't', "type", true, "pv: the only type there is" },
    { 0, NULL, false, NULL },
};

static const struct option_row viewer_options[] = {
    { 'p', "print", false, "only print the address" },
    { 0, NULL, false, NULL },
};

static const struct option_row list_options[] = {
    { 'l', "long", false, "everything, as JSON" },
    { 'v', "verbose", false, "with UUID and reason of the end" },
    { 0, NULL, false, NULL },
};

static const struct option_row shutdown_options[] = {
    { 'a', "all", false, "all guests" },
    { 'w', "wait", false, "until they have ended" },
    { 0, NULL, false, NULL },
};

static const struct option_row info_options[] = {
    { 'c', "counters", false,
      "what the hypervisor has counted instead: flushes, grants, events..." },
    { 'r', "reset", false, "with -c: begin at zero afterwards" },
    { 0, NULL, false, NULL },
};

static const struct option_row dmesg_options[] = {
    { 'c', "clear", false, "empty the log after reading" },
    { 0, NULL, false, NULL },
};

static const struct option_row uptime_options[] = {
    { 's', "short", false, "one line per domain with the time of day" },
    { 0, NULL, false, NULL },
};

static const struct option_row detach_options[] = {
    { 'f', "force", false, "without asking the guest, and even if it uses the device" },
    { 0, NULL, false, NULL },
};

static const struct option_row device_list_options[] = {
    { 'l', "long", false, "names and targets instead of numbers" },
    { 0, NULL, false, NULL },
};

static const struct option_row image_options[] = {
    { 's', "size", true, "of the file system: MiB, or with M, G, T (default 2G)" },
    { 'm', "mirror", true, "the Debian archive (default: as this machine's apt)" },
    { 'S', "suite", true, "the release (default bookworm)" },
    { 'p', "packages", true, "more packages, separated by commas" },
    { 'H', "hostname", true, "(default debian)" },
    { 'l', "label", true, "of the root file system (default joist-root)" },
    { 'P', "root-password", true, "(default: a random one, printed)" },
    { 'k', "ssh-key", true, "file of public keys that may log in as root" },
    { 'o', "overlay", true, "directory whose files are put over the system" },
    { 'f', "force", false, "replace the file if it exists" },
    { 'K', "kernel", true, "with ramdisk: the kernel it is for" },
    { 'M', "modules", true, "with ramdisk: where lib/modules is (default /)" },
    { 'q', "quiet", false, "show no progress" },
    { 0, NULL, false, NULL },
};

static const struct option_row run_options[] = {
    { 'R', "rootfs", true, "directory or tar archive that becomes the guest's root" },
    { 'k', "kernel", true, "(default: that of the root, else the one installed with joist)" },
    { 'r', "ramdisk", true, "(default: one with the drivers of the root disk)" },
    { 'm', "memory", true, "MiB (default 256)" },
    { 'c', "vcpus", true, "(default 1)" },
    { 's', "size", true, "of the root disk: MiB, or with M, G, T (default: as needed)" },
    { 'n', "name", true, "of the guest (default run-PID)" },
    { 0, NULL, false, NULL },
};

static const struct verb_row verbs[] = {
    { "create", cmd_create, 0, -1, "FILE [KEY=VALUE...]", "start a guest", create_options },
    { "list", cmd_list, 0, -1, "[DOMAIN...]", "show domains", list_options },
    { "info", cmd_info, 0, 1, "[DOMAIN]", "show the machine, or one domain", info_options },
    { "console", cmd_console, 1, 1, "DOMAIN", "attach to a guest's console", console_options },
    { "vncviewer", cmd_vncviewer, 1, 1, "DOMAIN", "start a viewer on a guest's screen",
      viewer_options },
    { "channel-list", cmd_channel_list, 1, -1, "DOMAIN...", "show the channels of guests",
      no_options },
    { "vkb-list", cmd_vkb_list, 1, -1, "DOMAIN...", "show the keyboards of guests", no_options },
    { "screenshot", cmd_screenshot, 2, 2, "DOMAIN FILE.png", "take a picture of a guest's screen",
      no_options },
    { "pause", cmd_pause, 1, 1, "DOMAIN", "stop running a guest for a while", no_options },
    { "unpause", cmd_unpause, 1, 1, "DOMAIN", "let a paused guest run", no_options },
    { "shutdown", cmd_shutdown, 0, 1, "DOMAIN | -a", "ask guests to power off", shutdown_options },
    { "reboot", cmd_reboot, 0, 1, "DOMAIN | -a", "ask guests to restart", shutdown_options },
    { "destroy", cmd_destroy, 1, 1, "DOMAIN", "end a guest at once", no_options },
    { "dmesg", cmd_dmesg, 0, 0, "", "show the hypervisor's log", dmesg_options },
    { "domid", cmd_domid, 1, 1, "NAME", "print the id of a domain", no_options },
    { "domname", cmd_domname, 1, 1, "ID", "print the name of a domain", no_options },
    { "rename", cmd_rename, 2, 2, "DOMAIN NAME", "give a guest another name", no_options },
    { "vcpu-list", cmd_vcpu_list, 0, -1, "[DOMAIN...]", "show virtual CPUs", no_options },
    { "block-attach", cmd_block_attach, 2, -1, "DOMAIN DISK...", "give a disk to a running guest",
      no_options },
    { "block-detach", cmd_block_detach, 2, 2, "DOMAIN VDEV", "take a disk away from a guest",
      detach_options },
    { "block-list", cmd_block_list, 1, -1, "DOMAIN...", "show the disks of guests",
      device_list_options },
    { "block-resize", cmd_block_resize, 2, 2, "DOMAIN VDEV",
      "tell a guest that the file of its disk has grown", no_options },
    { "uptime", cmd_uptime, 0, -1, "[DOMAIN...]", "show how long domains run", uptime_options },
    { "network-attach", cmd_network_attach, 1, -1, "DOMAIN [KEY=VALUE...]",
      "give a guest a network interface", no_options },
    { "network-detach", cmd_network_detach, 2, 2, "DOMAIN ID|MAC|NAME",
      "take a network interface away", detach_options },
    { "network-list", cmd_network_list, 1, -1, "DOMAIN...", "show network interfaces", no_options },
    { "image", cmd_image, 1, -1, "build debian FILE | snapshot IMAGE OVERLAY | ramdisk FILE",
      "make disk images", image_options },
    { "run", cmd_run, 1, -1, "-- COMMAND [WORD...]", "run one command in a guest", run_options },
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static void help(FILE *to)
{
    size_t i;

    fputs("usage: joist [--socket PATH] VERB [OPTION...] [WORD...]\n\n", to);
    for (i = 0; i < VERB_COUNT; i++) {
        fprintf(to, "  %-14s %-22s %s\n", verbs[i].name, verbs[i].words, verbs[i].summary);
    }
    fputs("  help           [VERB]                 show the options of a verb\n\n"
          "Every verb knows --help, and --json to print the daemon's answer as it is.\n"
          "Verbs may be shortened as long as they stay unambiguous.\n",
          to);
}

static void verb_help(const struct verb_row *v, FILE *to)
{
    const struct option_row *o;
    char text[48];

    fprintf(to, "usage: joist %s [OPTION...]%s%s\n%s\n\n", v->name, v->words[0] != '\0' ? " " : "",
            v->words, v->summary);
    for (o = v->options; o->letter != 0; o++) {
        snprintf(text, sizeof(text), "-%c, --%s%s", o->letter, o->name,
                 o->has_value ? "=VALUE" : "");
        fprintf(to, "  %-24s %s\n", text, o->help);
    }
    fprintf(to, "  %-24s %s\n", "-j, --json", "print the daemon's answer as it is");
    fprintf(to, "  %-24s %s\n", "-h, --help", "this text");
}

/* The verb of that name, or the only one that starts so. */
static const struct verb_row *find(const char *name)
{
    const struct verb_row *hit = NULL;
    size_t n = strlen(name);
    size_t i;

    for (i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
        if (n > 0 && strncmp(verbs[i].name, name, n) == 0) {
            if (hit != NULL) {
                fprintf(stderr, "joist: \"%s\" could be %s or %s\n", name, hit->name,
                        verbs[i].name);
                return NULL;
            }
            hit = &verbs[i];
        }
    }
    if (hit == NULL) {
        fprintf(stderr, "joist: there is no verb \"%s\"; joist help lists them\n", name);
    }
    return hit;
}

static const struct option_row *option_by(const struct verb_row *v, char letter, const char *name,
                                          size_t name_size)
{
    static const struct option_row common[] = {
        { 'j', "json", false, NULL },
        { 'h', "help", false, NULL },
        { 0, NULL, false, NULL },
    };
    const struct option_row *lists[2] = { v->options, common };
    const struct option_row *o;
    int i;

    for (i = 0; i < 2; i++) {
        for (o = lists[i]; o->letter != 0; o++) {
            if (name != NULL
                    ? strlen(o->name) == name_size && strncmp(o->name, name, name_size) == 0
                    : o->letter == letter) {
                return o;
            }
        }
    }
    return NULL;
}

static int bad_option(const struct verb_row *v, const char *word, const char *why)
{
    fprintf(stderr, "joist: %s: option %s %s; joist help %s lists the options\n", v->name, word,
            why, v->name);
    return EXIT_USAGE;
}

/* One word that starts with a dash; *i moves on when the next word is its value. */
static int take_option(const struct verb_row *v, struct parsed *p, char **argv, int argc, int *i)
{
    const char *word = argv[*i];
    const char *eq = strchr(word, '=');
    const struct option_row *o;
    const char *at;

    if (word[1] == '-') {
        o = option_by(v, 0, word + 2, eq != NULL ? (size_t)(eq - word - 2) : strlen(word + 2));
        if (o == NULL) {
            return bad_option(v, word, "is unknown");
        }
        if (!o->has_value && eq != NULL) {
            return bad_option(v, word, "takes no value");
        }
        p->flag[(int)o->letter] = true;
        if (o->has_value) {
            p->value[(int)o->letter] = eq != NULL ? eq + 1 : *i + 1 < argc ? argv[++*i] : NULL;
            if (p->value[(int)o->letter] == NULL) {
                return bad_option(v, word, "needs a value");
            }
        }
        return 0;
    }
    for (at = word + 1; *at != '\0'; at++) {
        o = option_by(v, *at, NULL, 0);
        if (o == NULL) {
            return bad_option(v, word, "is unknown");
        }
        p->flag[(int)o->letter] = true;
        if (o->has_value) {
            p->value[(int)o->letter] = at[1] != '\0' ? at + 1 : *i + 1 < argc ? argv[++*i] : NULL;
            return p->value[(int)o->letter] != NULL ? 0 : bad_option(v, word, "needs a value");
        }
    }
    return 0;
}

/* Splits the words after the verb into options and words; `--` ends the options. */
static int parse(const struct verb_row *v, struct parsed *p, int argc, char **argv)
{
    bool options_end = false;
    int i;
    int rc;

    p->words = argv; /* words are moved to the front: there are never more than were read */
    for (i = 0; i < argc; i++) {
        if (!options_end && strcmp(argv[i], "--") == 0) {
            options_end = true;
        } else if (!options_end && argv[i][0] == '-' && argv[i][1] != '\0') {
            rc = take_option(v, p, argv, argc, &i);
            if (rc != 0) {
                return rc;
            }
        } else {
            p->words[p->count++] = argv[i];
        }
    }
    if (p->flag['h']) {
        return 0;
    }
    if (p->count < v->min_words || (v->max_words >= 0 && p->count > v->max_words)) {
        fprintf(stderr, "joist: %s: %s; usage: joist %s [OPTION...] %s\n", v->name,
                p->count < v->min_words ? "a word is missing" : "too many words", v->name,
                v->words);
        return EXIT_USAGE;
    }
    return 0;
}

static int run_verb(struct cli *c, int argc, char **argv)
{
    const struct verb_row *v = find(argv[0]);
    struct parsed p = { 0 };
    int rc;

    if (v == NULL) {
        return EXIT_USAGE;
    }
    rc = parse(v, &p, argc - 1, argv + 1);
    if (rc != 0) {
        return rc;
    }
    if (p.flag['h']) {
        verb_help(v, stdout);
        return EXIT_DONE;
    }
    c->is_json = c->is_json || p.flag['j'];
    return v->run(c, &p);
}

static int run_help(int argc, char **argv)
{
    const struct verb_row *v;

    if (argc == 0) {
        help(stdout);
        return EXIT_DONE;
    }
    v = find(argv[0]);
    if (v == NULL) {
        return EXIT_USAGE;
    }
    verb_help(v, stdout);
    return EXIT_DONE;
}

/* A standard stream that the caller has closed is not the next file that is opened. */
static void keep_places(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

int main(int argc, char **argv)
{
    struct cli c = { .socket = getenv("JOISTD_SOCKET"), .fd = -1 };
    int rc;
    int i;

    keep_places();
    if (c.socket == NULL) {
        c.socket = "/run/joist/joistd.sock";
    }
    for (i = 1; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            c.is_json = true;
        } else if (strcmp(argv[i], "--socket") == 0 && i + 1 < argc) {
            c.socket = argv[++i];
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return run_help(0, NULL);
        } else if (strcmp(argv[i], "--version") == 0) {
            puts("joist " JOIST_VERSION);
            return EXIT_DONE;
        } else {
            fprintf(stderr, "joist: option %s is unknown; joist help lists the verbs\n", argv[i]);
            return EXIT_USAGE;
        }
    }
    if (i >= argc) {
        help(stderr);
        return EXIT_USAGE;
    }
    rc = strcmp(argv[i], "help") == 0 ? run_help(argc - i - 1, argv + i + 1)
                                      : run_verb(&c, argc - i, argv + i);
    if (fflush(stdout) != 0 && rc == EXIT_DONE) {
        perror("joist: standard output");
        rc = EXIT_FAILED;
    }
    return rc;
}
