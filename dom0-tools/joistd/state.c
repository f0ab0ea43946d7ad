/* SPDX-License-Identifier: MIT */
/* The guests on disk: one JSON file each, from which a restarted daemon takes over. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "joistd/joistd.h"
#include "joistd/xlcfg.h"

static const char suffix[] = ".json";
static const char unfinished[] = ".new"; /* being written when the daemon was killed */

static const char *state_name(enum guest_state s)
{
    switch (s) {
    case GUEST_BUILDING:
        return "building";
    case GUEST_PRESERVED:
        return "preserved";
    case GUEST_ENDING:
        return "ending";
    case GUEST_WAITING:
        return "waiting";
    default:
        return "running";
    }
}

static void file_name(const struct guest *g, const char *end, char *path, size_t size)
{
    snprintf(path, size, "%s/%s%s", g->d->state_dir, g->config.uuid_text, end);
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t size = strlen(text);
    int rc = 0;

    if (fd < 0) {
        return -errno;
    }
    errno = 0; /* a write that was cut short sets none */
    if (write(fd, text, size) != (ssize_t)size || fsync(fd) != 0) {
        rc = errno != 0 ? -errno : -EIO;
    }
    close(fd);
    return rc;
}

int state_save(const struct guest *g)
{
    char path[512];
    char next[512];
    json_t *v;
    char *text;
    int rc;

    if (g->settings == NULL) {
        return 0;
    }
    v = json_pack("{s:s, s:s, s:i, s:b, s:b, s:I, s:i, s:s, s:s, s:O}", "state",
                  state_name(g->state), "name", g->config.name, "domid", g->domid, "restart",
                  g->is_restart_due, "paused", g->is_paused_start, "start_time",
                  (json_int_t)g->start_time, "former_domid", g->former_domid, "former_uuid",
                  g->former_uuid, "again", g->again, "settings", g->settings);
    text = v != NULL ? json_dumps(v, JSON_INDENT(1)) : NULL;
    json_decref(v);
    if (text == NULL) {
        return -ENOMEM;
    }
    file_name(g, suffix, path, sizeof(path));
    file_name(g, unfinished, next, sizeof(next));
    rc = write_file(next, text);
    free(text);
    if (rc == 0 && rename(next, path) != 0) {
        rc = -errno;
    }
    if (rc != 0) {
        static struct log_limit limit; /* a guest that starts anew and anew is saved each time */

        log_limited(&limit, LOG_LEVEL_ERROR, "guest %s: cannot save %s: %s", g->config.name, path,
                    strerror(-rc));
        unlink(next);
    }
    return rc;
}

int state_unsaved(const struct guest *g, int code, const char *phase, struct fail *f)
{
    fail_set(f, code, phase, g->config.name, "its state cannot be saved in %s: %s", g->d->state_dir,
             strerror(-code));
    return fail_remedy(f, "see whether that file system is full");
}

void state_remove(const struct guest *g)
{
    char path[512];

    if (g->settings != NULL) {
        file_name(g, suffix, path, sizeof(path));
        unlink(path);
    }
}

static void load(struct joistd *d, const char *path)
{
    struct xlcfg settings = { 0 };
    struct fail f = { 0 };
    struct config c = { 0 };
    char line[1024];
    json_t *warnings = json_array();
    json_t *record = json_load_file(path, 0, NULL);
    json_t *kept = json_object_get(record, "settings");
    int rc = xlcfg_from_json(&settings, path, kept, &f);

    if (rc == 0) {
        rc = config_make(&c, &settings, "/", warnings, &f);
    }
    if (rc == 0) {
        guest_adopt(d, &c, json_incref(kept), record);
    } else {
        fail_text(&f, line, sizeof(line));
        log_error("saved guest %s is not read: %s", path, line);
    }
    config_drop(&c);
    xlcfg_free(&settings);
    json_decref(record);
    json_decref(warnings);
}

void state_load_all(struct joistd *d)
{
    char path[512];
    struct dirent *e;
    DIR *dir = opendir(d->state_dir);

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        size_t n = strlen(e->d_name);

        if (n == 36 + sizeof(suffix) - 1 && strcmp(e->d_name + 36, suffix) == 0) {
            snprintf(path, sizeof(path), "%s/%s", d->state_dir, e->d_name);
            load(d, path);
        } else if (n > sizeof(unfinished) && strcmp(e->d_name + n - 4, unfinished) == 0) {
            snprintf(path, sizeof(path), "%s/%s", d->state_dir, e->d_name);
            unlink(path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}
