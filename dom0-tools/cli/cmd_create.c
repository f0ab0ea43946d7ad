/* SPDX-License-Identifier: MIT */
/* joist create: hands the configuration file and the words of the command line to joistd. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#define CONFIG_MAX 65537 /* one byte more than joistd takes, so that it is joistd that refuses */

/* The file's text as a JSON string; NULL after a line on standard error. */
static json_t *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = malloc(CONFIG_MAX);
    size_t n = 0;
    json_t *v = NULL;

    if (file != NULL && text != NULL) {
        n = fread(text, 1, CONFIG_MAX, file);
    }
    if (file == NULL || text == NULL || ferror(file)) {
        fprintf(stderr, "joist: config: %s: cannot be read: %s\n", path, strerror(errno));
    } else {
        v = json_stringn(text, n);
        if (v == NULL) {
            fprintf(stderr, "joist: config: %s: is no UTF-8 text\n", path);
        }
    }
    free(text);
    if (file != NULL) {
        fclose(file);
    }
    return v;
}

/* Prints a checked configuration in the form of a configuration file. */
static void print_settings(const json_t *settings)
{
    const char *key;
    json_t *v;
    char *text;

    json_object_foreach((json_t *)settings, key, v)
    {
        text = json_dumps(v, JSON_ENCODE_ANY);
        printf("%s = %s\n", key, text);
        free(text);
    }
}

int cmd_create(struct cli *c, const struct parsed *p)
{
    const char *file = p->value['f'];
    bool has_file_word = file == NULL && p->count > 0 && strchr(p->words[0], '=') == NULL;
    json_t *args = json_object();
    char cwd[PATH_MAX];
    json_t *text;
    json_t *reply;
    json_t *result;
    char name[128];
    int escape = escape_of(p);
    int rc;

    file = has_file_word ? p->words[0] : file;
    if (escape < 0 || (file == NULL && p->count == 0)) {
        fprintf(stderr, "joist: create: %s\n",
                escape < 0 ? "the escape character is written ^X" : "name a configuration file");
        json_decref(args);
        return EXIT_USAGE;
    }
    if (file != NULL) {
        text = read_file(file);
        if (text == NULL) {
            json_decref(args);
            return EXIT_FAILED;
        }
        json_object_set_new(args, "config", text);
        json_object_set_new(args, "file", json_string(file));
    }
    json_object_set_new(args, "override", words_json(p, has_file_word ? 1 : 0));
    json_object_set_new(args, "cwd", json_string(getcwd(cwd, sizeof(cwd)) != NULL ? cwd : "/"));
    json_object_set_new(args, "paused", json_boolean(p->flag['p']));
    json_object_set_new(args, "attach", json_boolean(p->flag['c']));
    json_object_set_new(args, "dry_run", json_boolean(p->flag['n']));
    rc = client_call(c, "create", args, &reply, &result);
    if (rc != 0) {
        return rc;
    }
    snprintf(name, sizeof(name), "%s", get_text(result, "name"));
    if (p->flag['n'] && !c->is_json) {
        print_settings(result);
    } else if (!p->flag['n'] && !p->flag['q'] && !c->is_json) {
        printf("%s: domain %lld%s\n", name, get_int(result, "domid"),
               p->flag['p'] ? ", paused" : "");
        fflush(stdout);
    }
    json_decref(reply);
    return p->flag['c'] && !p->flag['n'] ? console_attach(c, name, 0, escape) : rc;
}
