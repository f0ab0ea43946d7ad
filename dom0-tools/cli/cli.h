/* SPDX-License-Identifier: MIT */
/* The command line client: what its verbs share. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,        /* joistd refused or failed, with the reason on standard error */
    EXIT_USAGE = 2,         /* the command line is wrong; nothing was asked for */
    EXIT_UNREACHABLE = 3,   /* joistd cannot be reached */
    EXIT_INTERRUPTED = 130, /* Ctrl-C; nothing is left */
};

struct option_row {
    char letter;      /* 0 ends the list */
    const char *name; /* without the dashes */
    bool has_value;
    const char *help;
};

/* The command line of one verb, taken apart. */
struct parsed {
    bool flag[128];         /* by letter */
    const char *value[128]; /* by letter */
    char **words;
    int count;
};

struct cli {
    const char *socket;
    bool is_json;  /* print replies as they are */
    bool is_quiet; /* do not say that joistd cannot be reached: the caller tries again */
    int fd;        /* connection to joistd, -1 before the first request */
};

struct verb_row {
    const char *name;
    int (*run)(struct cli *c, const struct parsed *p);
    int min_words;
    int max_words;     /* -1: any number */
    const char *words; /* for the usage line */
    const char *summary;
    const struct option_row *options; /* besides --json and --help */
};

/* client.c */

/*
 * Sends one request (args taken over, may be NULL) and reads the reply.  0 with the reply, or an
 * exit code after a line on standard error.  A reply that says "failed" is a reply.
 */
int client_ask(struct cli *c, const char *verb, json_t *args, json_t **reply);

/* As client_ask(), but prints warnings, failures and, with --json, the reply; *result is borrowed
   from *reply. */
int client_call(struct cli *c, const char *verb, json_t *args, json_t **reply, json_t **result);

/* Shorthand for verbs whose answer is not shown but for --json. */
int client_do(struct cli *c, const char *verb, json_t *args);

/* Words of a command line as a JSON array. */
json_t *words_json(const struct parsed *p, int from);

/* JSON members with a default. */
const char *get_text(const json_t *o, const char *key);
long long get_int(const json_t *o, const char *key);
bool get_flag(const json_t *o, const char *key);

/* console.c: attaches the terminal to console `number`; an exit code. */
int console_attach(struct cli *c, const char *domain, int number, int escape);
/* Opens the pseudo-terminal that joistd names, in raw mode; -ENOTTY if it is anything else, which
   is then left alone. */
int terminal_open(const char *path);
/* The code of the escape character given by -e ("^X" or "X"); -1 if it is written neither way. */
int escape_of(const struct parsed *p);

/* cmd_block.c: verbs on devices, the same for every class ("disk", "network", ...) */
json_t *device_args(const struct parsed *p, const char *class);
int device_attach(struct cli *c, const struct parsed *p, const char *class);
int device_detach(struct cli *c, const struct parsed *p, const char *class);
int device_list(struct cli *c, const struct parsed *p, const char *class, const char *heading,
                void (*print)(const json_t *device));

/* The verbs, by file. */
int cmd_create(struct cli *c, const struct parsed *p);
int cmd_console(struct cli *c, const struct parsed *p);
int cmd_list(struct cli *c, const struct parsed *p);
int cmd_vcpu_list(struct cli *c, const struct parsed *p);
int cmd_uptime(struct cli *c, const struct parsed *p);
int cmd_info(struct cli *c, const struct parsed *p);
int cmd_dmesg(struct cli *c, const struct parsed *p);
int cmd_pause(struct cli *c, const struct parsed *p);
int cmd_unpause(struct cli *c, const struct parsed *p);
int cmd_destroy(struct cli *c, const struct parsed *p);
int cmd_shutdown(struct cli *c, const struct parsed *p);
int cmd_reboot(struct cli *c, const struct parsed *p);
int cmd_domid(struct cli *c, const struct parsed *p);
int cmd_domname(struct cli *c, const struct parsed *p);
int cmd_vncviewer(struct cli *c, const struct parsed *p);
int cmd_screenshot(struct cli *c, const struct parsed *p);
int cmd_channel_list(struct cli *c, const struct parsed *p);
int cmd_vkb_list(struct cli *c, const struct parsed *p);
int cmd_block_attach(struct cli *c, const struct parsed *p);
int cmd_block_detach(struct cli *c, const struct parsed *p);
int cmd_block_list(struct cli *c, const struct parsed *p);
int cmd_block_resize(struct cli *c, const struct parsed *p);
int cmd_image_snapshot(struct cli *c, const struct parsed *p);
int cmd_rename(struct cli *c, const struct parsed *p);
int cmd_network_attach(struct cli *c, const struct parsed *p);
int cmd_network_detach(struct cli *c, const struct parsed *p);
int cmd_network_list(struct cli *c, const struct parsed *p);
int cmd_image(struct cli *c, const struct parsed *p);
int cmd_run(struct cli *c, const struct parsed *p);

/* cmd_image.c: what verbs share that work without the daemon. */
struct fail;
int say_fail(const struct fail *f); /* prints it; EXIT_FAILED */
/* Bytes of a size option ("512M", "2G"), `otherwise` if it is not given; 0 or EXIT_USAGE. */
int size_option(const struct parsed *p, char letter, uint64_t least, uint64_t otherwise,
                uint64_t *out);
