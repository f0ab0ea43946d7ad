/* SPDX-License-Identifier: MIT */
/*
 * Devices of guests: what a class of devices has to say so that the daemon can read it from a
 * configuration, give it to a guest, list it, and take it away again.
 *
 * A class has two halves.  struct dev_class is free of side effects: it reads one entry of a list
 * in a configuration and names the store nodes (devcfg.c holds the table).  struct dev_host acts on
 * the machine, always in a forked child (dev.c holds the table).  Nothing that is needed to take a
 * device away is kept in memory: the store's private copy under /libxl and the host itself (tags on
 * loop devices, names of interfaces, ...) say what there is, so that a killed daemon loses nothing.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/fail.h"
#include "joistd/xlcfg.h"
#include "libjoist/store.h"

#define DEV_MAX      160        /* devices of one guest, all classes together */
#define DEV_TEXT_MAX 2047       /* bytes of one entry of a list */
#define DEV_ID_AUTO  UINT32_MAX /* the lowest free number of the class is taken */

#define DEV_BACKEND_WAIT 10000 /* ms for a back end to appear (InitWait) */
#define DEV_CLOSE_WAIT   10000 /* ms for both ends to close */

enum dev_kind { DEV_VBD, DEV_VIF, DEV_CONSOLE, DEV_VFB, DEV_VKB, DEV_KINDS };

enum xenbus_state { /* numbers of the public I/O protocols */
                    XB_UNKNOWN,
                    XB_INITIALISING,
                    XB_INIT_WAIT,
                    XB_INITIALISED,
                    XB_CONNECTED,
                    XB_CLOSING,
                    XB_CLOSED,
};

struct config;
struct joist;
struct dev_class;

/* One device as a configuration asks for it; not changed once it is made, hence shared. */
struct device {
    unsigned int refs;
    const struct dev_class *class;
    unsigned int id;  /* its number in the store's directories */
    bool is_implied;  /* made from another device's entry (vkb of a vfb): not saved by itself */
    char where[160];  /* where it was asked for, for messages */
    char backend[64]; /* name or id of the back end's domain; empty: the control domain */
    char *text;       /* the entry as it is saved: means the same in any directory */
    void *own;        /* the class's struct, dev_class.size bytes; holds no pointers */
};

/* --- reading entries (devcfg.c) --------------------------------------------------------------- */

/* One entry while it is being read. */
struct dev_parse {
    const char *text;
    const char *cwd;     /* for file names that are not absolute */
    const char *file;    /* "x.cfg" or "command line" */
    unsigned int line;   /* of the entry; 0: unknown */
    unsigned int column; /* of its first byte */
    size_t next;         /* offset of the next word; more than the length: none left */
    json_t *warnings;
    struct fail *f;
    const struct device *by; /* the device whose entry implies this one, or NULL */
};

/* A piece of an entry between two commas, without blanks around it. */
struct dev_word {
    size_t at; /* offset in the entry, for messages */
    size_t value_at;
    char key[64];                /* what stands before '='; empty if there is no '=' */
    char text[DEV_TEXT_MAX + 1]; /* the whole piece */
    const char *value;           /* after '=' (in text), or the whole piece */
};

/* Takes the next word; false at the end. */
bool dev_next(struct dev_parse *p, struct dev_word *w);

/* The rest of the entry from the word's value on, commas included, becomes its value. */
void dev_take_rest(struct dev_parse *p, struct dev_word *w);

/* Refuses the entry; names file:line:column of byte `at` of the entry.  Returns the code. */
int dev_bad(struct dev_parse *p, size_t at, const char *cause, ...)
    __attribute__((format(printf, 3, 4)));

/* A remark that does not prevent the start. */
void dev_warn(struct dev_parse *p, size_t at, const char *text, ...)
    __attribute__((format(printf, 3, 4)));

/* Replaces the text that is saved for a device (default: the entry as given). */
void dev_save_as(struct device *dev, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Reads a list of entries, or one entry, of the class and appends the devices to the configuration;
 * a class read twice replaces what it had.  -EINVAL, -EEXIST (number taken), -E2BIG.
 */
int dev_read_list(struct config *c, const struct dev_class *class, const struct xlcfg_setting *s,
                  const char *cwd, json_t *warnings, struct fail *f);
/* `p` says text, cwd, file and position; the new devices are appended.  *made: the first of them */
int dev_read_one(struct config *c, const struct dev_class *class, struct dev_parse *p,
                 struct device **made);

/* Calls each device's finish() once uuid and name of the guest are known. */
int dev_finish(struct config *c, struct fail *f);

void dev_unref(struct device *dev);
/* Drops a device (and those its entry implied) from a configuration. */
void dev_forget(struct config *c, const struct device *dev);
struct device *dev_by_id(const struct config *c, const struct dev_class *class, unsigned int id);
/* The device that a person means; NULL with -ENODEV and a list of those there are in `f`. */
struct device *dev_by_name(const struct config *c, const struct dev_class *class, const char *text,
                           struct fail *f);
/* The entries of a class as they are saved in a configuration: a new array. */
json_t *dev_texts(const struct config *c, const struct dev_class *class);

/* --- nodes ------------------------------------------------------------------------------------ */

struct dev_nodes; /* devnodes.c: a list of nodes that is written in one transaction */

/* Whom the nodes are for. */
struct dev_env {
    uint16_t domid;
    uint16_t backend_id;
    const char *uuid; /* text */
    const char *name;
};

/* Adds a node in the front end's directory. */
void dev_front(struct dev_nodes *n, const char *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a node that the guest may read, not write. */
void dev_front_fixed(struct dev_nodes *n, const struct dev_env *env, const char *node,
                     const char *value);
/* Adds a node in the back end's directory and in the private copy. */
void dev_back(struct dev_nodes *n, const char *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds a node that only the private copy has. */
void dev_private(struct dev_nodes *n, const char *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct dev_nodes *dev_nodes_new(void);
void dev_nodes_free(struct dev_nodes *n);
/* Adds all nodes of one device: front end, back end, private copy. */
void dev_nodes_add(struct dev_nodes *n, const struct dev_env *env, const struct device *dev);
/* In a domain with back ends: adds of one device only what the private copy there is to know. */
void dev_nodes_note(struct dev_nodes *n, const struct dev_env *env, const struct device *dev);
/* The nodes so far, valid until the next one is added; NULL when memory has run out. */
const struct store_node *dev_nodes_list(const struct dev_nodes *n, size_t *count);

/* --- the two halves of a class ---------------------------------------------------------------- */

struct dev_class {
    enum dev_kind kind;
    const char *name;                /* directory of front and back ends: "vbd" */
    const char *key;                 /* in a configuration: "disk" */
    const char *noun;                /* for people: "disk" */
    unsigned int max;                /* of one guest */
    unsigned int first_id;           /* lowest number that DEV_ID_AUTO gives */
    const char *id_key;              /* the key that says the number, or NULL */
    size_t size;                     /* of the class's own struct */
    const struct dev_class *implies; /* a device of that class is made from the same entry */

    /* Reads p->text into dev (id, backend, own); 0 or the code that dev_bad() returned. */
    int (*parse)(struct dev_parse *p, struct device *dev);
    /* Fills in what depends on the guest (a MAC from its uuid), looks at the other devices; may be
       NULL.  0 or the code set in f. */
    int (*finish)(const struct config *c, struct device *dev, struct fail *f);
    /* Whether two devices of different guests cannot be at the same time; may be NULL. */
    int (*clash)(const struct device *mine, const struct device *other, const char *other_guest,
                 struct fail *f);
    /* Whether a person means this device ("xvda", a MAC); may be NULL.  Numbers are known already
     */
    bool (*is_called)(const struct device *dev, const char *text);
    /* Adds what front end and back end expect besides backend, frontend, their ids, online, state
     */
    void (*nodes)(struct dev_nodes *n, const struct dev_env *env, const struct device *dev);
};

/* Work on devices of one domain, in a child of the daemon. */
struct dev_work {
    struct joist *h;
    struct store *s;
    uint16_t domid;
    const char *uuid; /* text; tags what belongs to the guest on the host */
    const char *name;
    struct fail *f;
    const struct config *giving; /* while devices are prepared: those before `given` are */
    unsigned int given;
};

/* Where a device lives in the store. */
struct dev_paths {
    char front[96];
    char back[96];
    char priv[96]; /* our own copy, which no front end can change */
};

/* A number of devices ends so: online = 0, both ends close (or the front end's nodes are removed),
   the back end lets go, unplug(), the nodes are removed. */
struct dev_host {
    const char *module; /* kernel module with the back end; NULL: it is a program of ours */
    bool has_states;    /* the back end goes through the XenBus states; else nobody is waited for */
    /* Gets what the host has to give (loop device) and checks what can be checked before anything
       is written.  May change dev->own: nodes() sees it.  What was got is undone by unplug(). */
    int (*prepare)(struct dev_work *w, struct device *dev);
    /* The back end waits (InitWait, if there is a module): completes it (hotplug). */
    int (*plug)(struct dev_work *w, const struct device *dev, const struct dev_paths *at);
    /* The back end is closed or gone: gives back what prepare() and plug() took for that number.
       Must bear being called for a device that does not exist, or twice. */
    void (*unplug)(struct dev_work *w, unsigned int id, const struct dev_paths *at);
    /* Gives back what the host still has of the guest, whatever the store says, but for the devices
       of `keep` (NULL: of all); may be NULL. */
    void (*sweep)(struct dev_work *w, const struct config *keep);
    /* Makes the guest see what has grown; may be NULL. */
    int (*resize)(struct dev_work *w, const struct device *dev);
};

/* The class of that configuration key, store directory or noun; NULL if there is none. */
const struct dev_class *dev_class_of(const char *word);
const struct dev_class *dev_class_at(enum dev_kind kind);

extern const struct dev_class disk_class, vif_class, channel_class, vfb_class, vkb_class;

/* --- acting (dev.c), in a child --------------------------------------------------------------- */

/*
 * Gives all devices of the configuration to the domain: prepares each, writes the nodes of all in
 * one transaction, waits for the back ends, plugs each.  On failure nothing of them is left.
 */
int dev_add_all(struct dev_work *w, const struct config *c);
/* The same for devices first..c->device_count-1 of a running guest. */
int dev_add_from(struct dev_work *w, const struct config *c, unsigned int first);

/* Waits for the front end of a new device to connect; -ETIMEDOUT is no failure of the device. */
int dev_wait_front(struct dev_work *w, const struct device *dev, unsigned int timeout_ms);

/*
 * Takes one device away: asks both ends to close, waits, then gives back what it used.
 * -ETIMEDOUT (says who did not answer; everything stays) unless `force`.
 */
int dev_remove(struct dev_work *w, const struct dev_class *class, unsigned int id, bool force);

/* Tells the guest a new size; -EOPNOTSUPP for a class without sizes. */
int dev_resize(struct dev_work *w, const struct device *dev);

/* Takes away all devices that the store knows of the domain but those in `keep` (NULL: none). */
void dev_remove_all(struct dev_work *w, const struct config *keep);
/* What the host still has of the guest and the store does not know. */
void dev_sweep(struct dev_work *w, const struct config *keep);

/* Waits until the node holds one of the states in `mask` (bit per state; bit 0: no node). Returns
   the state, or -ETIMEDOUT with *last the state seen last. */
int dev_wait_state(struct dev_work *w, const char *path, unsigned int mask, unsigned int timeout_ms,
                   int *last);
/* The same for anything: until is_over(), which is asked at each change of the node and now and
   then.  Whether it was. */
bool dev_wait(struct dev_work *w, const char *path, bool (*is_over)(struct dev_work *w, void *arg),
              void *arg, unsigned int timeout_ms);
const char *dev_state_name(int state);
/* What other domains write may steer nobody's terminal: bytes that are no plain ASCII become '?'.
 */
void dev_make_printable(char *text);
const struct dev_host *dev_host_of(const struct dev_class *class);
/* Loads the module of the device's back end if this kernel does not have it; -ENODEV. */
int dev_need_driver(struct dev_work *w, const struct device *dev);
/* Waits until this kernel has let go of its half of a device; whether it has. */
bool dev_wait_unbound(struct dev_work *w, const struct dev_class *class, unsigned int id,
                      unsigned int timeout_ms);
void dev_paths(struct dev_paths *at, const struct dev_class *class, uint16_t domid,
               uint16_t backend_id, unsigned int id);
/* The directory of the private copies: /libxl, in another domain than the control domain one in its
   own nodes (relative), which the daemon there chooses before it does anything else. */
const char *dev_private_root(void);
void dev_set_private_root(const char *dir);
/* The domain that a device's `backend` means; -ESRCH with the failure set. */
int dev_backend_id(struct dev_work *w, const struct device *dev, uint16_t *id);
/* Sets one node of a back end (`hotplug-status` and its like). */
int dev_set(struct dev_work *w, const char *dir, const char *node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Reads a node; false (and an empty text) if there is none. */
bool dev_get(struct dev_work *w, const char *dir, const char *node, char *out, size_t size);

/* The devices of a class that a domain has, for lists: array of objects with id, backend_id,
   state, front_state, and "nodes": all of the back end's nodes as texts. */
json_t *dev_list(struct store *s, const struct dev_class *class, uint16_t domid);
