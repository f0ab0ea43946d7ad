/* SPDX-License-Identifier: MIT */
/* The progress bar. */
#include "image/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 30
#define PAINT_MS  100

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, bool is_quiet)
{
    const char *term = getenv("TERM");

    *p = (struct progress){ .is_quiet = is_quiet, .begun = now_ms() };
    p->is_bar = isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;
}

static void paint(struct progress *p)
{
    char bar[BAR_WIDTH + 1];
    int full = p->percent * BAR_WIDTH / 100;

    memset(bar, '-', BAR_WIDTH);
    memset(bar, '#', (size_t)full);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %3d%% %s\033[K", bar, p->percent, p->stage);
    fflush(stderr);
    p->painted = now_ms();
    p->is_shown = true;
}

void progress_stage(struct progress *p, const char *stage, int percent)
{
    uint64_t ms = now_ms() - p->begun;
    bool is_new = strcmp(p->stage, stage) != 0 && percent > p->percent;

    snprintf(p->stage, sizeof(p->stage), "%s", stage);
    p->percent = percent > p->percent && percent <= 100 ? percent : p->percent;
    if (p->is_bar && !p->is_quiet) {
        paint(p);
    } else if (!p->is_quiet && is_new) {
        fprintf(stderr, "joist: %3llu s, %3d%%: %s\n", (unsigned long long)(ms / 1000), p->percent,
                stage);
    }
}

void progress_at(struct progress *p, int percent)
{
    if (percent <= p->percent || percent > 100) {
        return;
    }
    p->percent = percent;
    if (p->is_bar && !p->is_quiet && now_ms() - p->painted >= PAINT_MS) {
        paint(p);
    }
}

void progress_end(struct progress *p)
{
    if (p->is_shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    p->is_shown = false;
}
