/* SPDX-License-Identifier: MIT */
/* The meaning of a guest's configuration: checked values, made from the settings of xlcfg.h. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "boot/boot.h"
#include "common/fail.h"
#include "joistd/dev.h"
#include "joistd/xlcfg.h"

#define CONFIG_NAME_MAX    63   /* bytes of a guest's name */
#define CONFIG_VCPUS_MAX   128  /* the PV ABI's limit is higher; this is the builder's */
#define CONFIG_CPUS_MAX    256  /* physical CPUs that an affinity can name */
#define CONFIG_CMDLINE_MAX 1023 /* start_info holds 1024 bytes with the end mark */
#define CONFIG_PATH_MAX    1023

enum end_action { /* what joistd does when a guest has ended */
                  ACTION_DESTROY,
                  ACTION_RESTART,
                  ACTION_RENAME_RESTART,
                  ACTION_PRESERVE,
                  ACTION_COUNT,
};

enum tsc_mode { TSC_DEFAULT, TSC_ALWAYS_EMULATE, TSC_NATIVE }; /* numbers of the control ABI */

struct cpuset {
    uint64_t word[CONFIG_CPUS_MAX / 64];
};

struct config {
    char name[CONFIG_NAME_MAX + 1];
    uint8_t uuid[16];
    char uuid_text[37];
    uint64_t memory_kib;
    uint64_t maxmem_kib;
    unsigned int vcpus;     /* online at start */
    unsigned int max_vcpus; /* created */
    char kernel[CONFIG_PATH_MAX + 1];
    char ramdisk[CONFIG_PATH_MAX + 1]; /* empty = none */
    char cmdline[CONFIG_CMDLINE_MAX + 1];
    enum end_action on_poweroff;
    enum end_action on_reboot;
    enum end_action on_crash;
    enum end_action on_watchdog;
    unsigned int affinity_count; /* 0: none given; 1: for every vCPU; else one per vCPU */
    struct cpuset affinity[CONFIG_VCPUS_MAX];
    unsigned int weight; /* 0 = the scheduler's default */
    int cap;             /* percent of one CPU; -1 = not given */
    enum tsc_mode tsc_mode;
    unsigned int max_grant_frames;
    unsigned int max_maptrack_frames;
    unsigned int max_event_channels;
    bool is_extracted;     /* kernel and ramdisk are inside the first disk */
    struct boot_wish boot; /* where in it */
    unsigned int device_count;
    struct device *devices[DEV_MAX]; /* shared: copy with config_copy(), end with config_drop() */
};

/*
 * Checks the settings and fills `c`.  File names that are not absolute are taken relative to `cwd`.
 * A setting without uuid gets a fresh one.  Remarks that do not prevent the start are appended to
 * the JSON array `warnings`.  The caller ends with config_drop(), also after a failure.  -EINVAL
 * (with position and key), -ENOENT for a missing key.
 */
int config_make(struct config *c, const struct xlcfg *settings, const char *cwd, json_t *warnings,
                struct fail *f);

/* Copies a configuration; both share the devices. */
void config_copy(struct config *to, const struct config *from);
/* Lets go of the devices; the configuration has none afterwards. */
void config_drop(struct config *c);

/* Whether a text can be a guest's name; a failure names what is wrong with it. */
int config_check_name(const char *name, struct fail *f);

const char *config_action_name(enum end_action a);

bool cpuset_has(const struct cpuset *s, unsigned int cpu);

/* Parses "0-3,^1,5" or "all"; -EINVAL for anything else or a CPU beyond CONFIG_CPUS_MAX. */
int cpuset_parse(struct cpuset *s, const char *text);

/* 16 bytes to the 36-character text form; `text` has 37 bytes. */
void uuid_format(const uint8_t uuid[16], char *text);

/* The text form to 16 bytes; -EINVAL. */
int uuid_parse(uint8_t uuid[16], const char *text);

/* A random version 4 UUID; -EIO if the kernel gives no random bytes. */
int uuid_generate(uint8_t uuid[16]);
