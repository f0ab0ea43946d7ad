/* SPDX-License-Identifier: MIT */
/*
 * The fuzz driver: replay a corpus, then mutate it for a number of seconds.
 *
 *   fuzz_x [-t SECONDS] [-s SEED] [-n RUNS] [FILE|DIRECTORY|CORPUS.pack]...
 *
 * An input that crashes is left in the file crash-<program> (written before each run only when the
 * process dies: the handler of the sanitizers' death writes it). Without coverage feedback the
 * mutations are blind, so the seeds do the steering.
 */

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#include "tests/fuzz/drive.h"
#include "tests/fuzz/pack.h"

#define INPUT_MAX  FUZZ_INPUT_MAX
#define CORPUS_MAX 4096

struct input {
    uint8_t *data;
    size_t size;
};

static struct input corpus[CORPUS_MAX];
static size_t corpus_count;
static uint8_t *current; /* exactly sized, so that a read past the end is seen */
static size_t current_size;
static const char *program;
static uint64_t random_state = 88172645463325252u;

/* Of the address sanitizer, if the build has it. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

__attribute__((weak)) size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    (void)index;
    (void)data;
    (void)size;
    return 0;
}

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t below(size_t n)
{
    return n > 0 ? (size_t)(next_random() % n) : 0;
}

static void save_crash(void)
{
    char name[256];
    int fd;

    if (current == NULL) {
        return; /* a leak, told at the end: no single input did it */
    }
    snprintf(name, sizeof(name), "crash-%s", program);
    fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0) {
        if (write(fd, current, current_size) < 0) {
            perror(name);
        }
        close(fd);
        fprintf(stderr, "the input is in %s (%zu bytes)\n", name, current_size);
    }
}

static void on_abort(int signal_number)
{
    signal(signal_number, SIG_DFL);
    save_crash();
    raise(signal_number);
}

static void run(const uint8_t *data, size_t size)
{
    current = malloc(size > 0 ? size : 1);
    if (current == NULL) {
        abort();
    }
    memcpy(current, data, size);
    current_size = size;
    fuzz_one(current, size);
    free(current);
    current = NULL;
}

static void add(const uint8_t *data, size_t size)
{
    if (corpus_count < CORPUS_MAX && size <= INPUT_MAX) {
        uint8_t *copy = malloc(size > 0 ? size : 1);

        if (copy != NULL) {
            memcpy(copy, data, size);
            corpus[corpus_count++] = (struct input){ .data = copy, .size = size };
        }
    }
}

static void load_file(const char *path)
{
    static uint8_t buf[INPUT_MAX];
    FILE *f = fopen(path, "rb");

    if (f == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    add(buf, fread(buf, 1, sizeof(buf), f));
    fclose(f);
}

static void add_packed(const uint8_t *data, size_t size, void *arg)
{
    (void)arg;
    add(data, size);
}

static void load(const char *path)
{
    const char *end = strrchr(path, '.');
    struct stat st;
    struct dirent **names;
    int n;

    if (stat(path, &st) != 0) {
        return; /* no corpus yet */
    }
    if (end != NULL && strcmp(end, ".pack") == 0) {
        if (pack_each(path, add_packed, NULL) < 0) {
            exit(2);
        }
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        load_file(path);
        return;
    }
    n = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char full[4096];

        snprintf(full, sizeof(full), "%s/%s", path, names[i]->d_name);
        if (stat(full, &st) == 0 && S_ISREG(st.st_mode)) {
            load_file(full);
        }
        free(names[i]);
    }
    if (n >= 0) {
        free(names);
    }
}

/* One change of the input in `buf`; returns its new size. */
static size_t mutate_once(uint8_t *buf, size_t size)
{
    static const uint64_t values[] = { 0,      1,          0x7f,       0x80,   0xff,      0x7fff,
                                       0xffff, 0x7fffffff, 0xffffffff, 0x1000, UINT64_MAX };
    const struct input *other = &corpus[below(corpus_count)];
    size_t at = below(size + 1);
    size_t n;
    uint64_t value;

    switch (below(8)) {
    case 0: /* flip a bit */
        if (at < size) {
            buf[at] ^= (uint8_t)(1u << below(8));
        }
        return size;
    case 1: /* a byte */
        if (at < size) {
            buf[at] = (uint8_t)next_random();
        }
        return size;
    case 2: /* an interesting value, of 1 to 8 bytes */
        value = values[below(sizeof(values) / sizeof(values[0]))];
        n = (size_t)1 << below(4);
        if (size >= n) {
            memcpy(buf + below(size - n + 1), &value, n);
        }
        return size;
    case 3: /* cut */
        return at;
    case 4: /* remove a piece */
        n = below(size - at + 1);
        memmove(buf + at, buf + at + n, size - at - n);
        return size - n;
    case 5: /* insert a piece of another input */
        n = below(other->size + 1);
        if (size + n > INPUT_MAX) {
            return size;
        }
        memmove(buf + at + n, buf + at, size - at);
        memcpy(buf + at, other->data + below(other->size - n + 1), n);
        return size + n;
    case 6: /* overwrite by a piece of another input */
        n = below((other->size < size - at ? other->size : size - at) + 1);
        memcpy(buf + at, other->data + below(other->size - n + 1), n);
        return size;
    default: /* add or subtract a little */
        if (at < size) {
            buf[at] = (uint8_t)(buf[at] + (uint8_t)below(17) - 8);
        }
        return size;
    }
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fuzz(double seconds, unsigned long runs)
{
    static uint8_t buf[INPUT_MAX];
    double end = now() + seconds;
    unsigned long done = 0;

    while (runs > 0 ? done < runs : (done % 64 != 0 || now() < end)) {
        const struct input *from = &corpus[below(corpus_count)];
        size_t size = from->size;
        size_t changes = 1 + below(8);

        memcpy(buf, from->data, size);
        while (changes-- > 0) {
            size = mutate_once(buf, size);
        }
        run(buf, size);
        done++;
    }
    printf("%s: %zu inputs, %lu mutations\n", program, corpus_count, done);
}

int main(int argc, char **argv)
{
    static uint8_t buf[INPUT_MAX];
    double seconds = 0;
    unsigned long runs = 0;
    size_t size;
    int option;

    program = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];
    while ((option = getopt(argc, argv, "t:s:n:")) != -1) {
        switch (option) {
        case 't':
            seconds = atof(optarg);
            break;
        case 's':
            random_state = strtoull(optarg, NULL, 0) | 1;
            break;
        case 'n':
            runs = strtoul(optarg, NULL, 0);
            break;
        default:
            fprintf(stderr,
                    "usage: %s [-t SECONDS] [-s SEED] [-n RUNS] [FILE|DIRECTORY|CORPUS.pack]...\n",
                    program);
            return 2;
        }
    }
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(save_crash);
    } else {
        signal(SIGILL, on_abort); /* undefined behaviour traps */
        signal(SIGSEGV, on_abort);
    }
    signal(SIGABRT, on_abort);
    for (unsigned int i = 0; (size = fuzz_seed(i, buf, sizeof(buf))) > 0; i++) {
        add(buf, size);
    }
    for (int i = optind; i < argc; i++) {
        load(argv[i]);
    }
    add(buf, 0);
    for (size_t i = 0; i < corpus_count; i++) {
        run(corpus[i].data, corpus[i].size);
    }
    if (seconds > 0 || runs > 0) {
        fuzz(seconds, runs);
    }
    for (size_t i = 0; i < corpus_count; i++) {
        free(corpus[i].data);
    }
    return 0;
}
