/* SPDX-License-Identifier: MIT */
/* Requests to joistd and what is printed of its replies. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"

static int unreachable(struct cli *c, const char *why)
{
    if (!c->is_quiet) {
        fprintf(stderr,
                "joist: daemon: %s: %s; see whether joistd runs, and whether you may use it\n",
                c->socket, why);
    }
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->fd = -1;
    return EXIT_UNREACHABLE;
}

static int connect_daemon(struct cli *c)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };

    if (strlen(c->socket) >= sizeof(sa.sun_path)) {
        return unreachable(c, "the path is too long");
    }
    memcpy(sa.sun_path, c->socket, strlen(c->socket) + 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
        return unreachable(c, strerror(errno));
    }
    return 0;
}

static int send_all(int fd, const char *text, size_t size)
{
    ssize_t n;

    while (size > 0) {
        n = send(fd, text, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return -1;
        }
        text += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Reads up to the end of a line; NULL when the daemon goes away first. */
static char *read_line(int fd)
{
    size_t room = 65536;
    size_t used = 0;
    char *line = malloc(room);
    ssize_t n;

    while (line != NULL) {
        n = recv(fd, line + used, room - used - 1, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            free(line);
            return NULL;
        }
        used += (size_t)n;
        line[used] = '\0';
        if (line[used - 1] == '\n') {
            return line;
        }
        if (room - used < 4096) {
            char *grown = realloc(line, room * 2);

            if (grown == NULL) {
                free(line);
            }
            line = grown;
            room *= 2;
        }
    }
    return NULL;
}

int client_ask(struct cli *c, const char *verb, json_t *args, json_t **reply)
{
    json_t *request =
        json_pack("{s:s, s:o}", "verb", verb, "args", args != NULL ? args : json_object());
    char *text = json_dumps(request, JSON_COMPACT);
    char *line;
    int rc = c->fd < 0 ? connect_daemon(c) : 0;

    *reply = NULL;
    json_decref(request);
    if (rc == 0 && (send_all(c->fd, text, strlen(text)) != 0 || send_all(c->fd, "\n", 1) != 0)) {
        rc = unreachable(c, strerror(errno));
    }
    free(text);
    if (rc != 0) {
        return rc;
    }
    line = read_line(c->fd);
    if (line == NULL) {
        return unreachable(c, "it ended before it answered");
    }
    *reply = json_loads(line, 0, NULL);
    free(line);
    return json_is_object(*reply) ? 0 : unreachable(c, "its answer is not understood");
}

int client_call(struct cli *c, const char *verb, json_t *args, json_t **reply, json_t **result)
{
    json_t *warning;
    char *text;
    size_t i;
    int rc = client_ask(c, verb, args, reply);

    *result = NULL;
    if (rc != 0) {
        return rc;
    }
    json_array_foreach(json_object_get(*reply, "warnings"), i, warning)
    {
        fprintf(stderr, "joist: warning: %s\n", json_string_value(warning));
    }
    if (c->is_json) {
        text = json_dumps(*reply, JSON_COMPACT);
        puts(text != NULL ? text : "{}");
        free(text);
    }
    if (!json_is_true(json_object_get(*reply, "ok"))) {
        fprintf(stderr, "joist: %s\n", get_text(json_object_get(*reply, "error"), "text"));
        json_decref(*reply);
        *reply = NULL;
        return EXIT_FAILED;
    }
    *result = json_object_get(*reply, "result");
    return 0;
}

int client_do(struct cli *c, const char *verb, json_t *args)
{
    json_t *reply;
    json_t *result;
    int rc = client_call(c, verb, args, &reply, &result);

    json_decref(reply);
    return rc;
}

json_t *words_json(const struct parsed *p, int from)
{
    json_t *out = json_array();
    int i;

    for (i = from; i < p->count; i++) {
        if (json_array_append_new(out, json_string(p->words[i])) != 0) {
            json_array_append_new(out, json_string("?")); /* no UTF-8: no domain is called so */
        }
    }
    return out;
}

const char *get_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text != NULL ? text : "";
}

long long get_int(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

bool get_flag(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}
