/* SPDX-License-Identifier: MIT */
/* What the host does for an interface: the steps of stock hotplug scripts, over netlink. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "joistd/devhost.h"
#include "joistd/net_link.h"
#include "joistd/net_rules.h"
#include "joistd/net_script.h"
#include "joistd/vif.h"

#define LINK_WAIT 10000 /* ms for netback to make the interface, or to take it away */
#define LINK_STEP 10
#define STORE_MS  5000

/* Name of the interface that netback made for a device, whatever it is called now. */
static bool find_interface(uint16_t domid, unsigned int devid, char *name)
{
    char path[96];
    struct dirent *e;
    bool found = false;
    DIR *dir;

    snprintf(path, sizeof(path), "/sys/bus/xen-backend/devices/vif-%u-%u/net", domid, devid);
    dir = opendir(path);
    while (dir != NULL && !found && (e = readdir(dir)) != NULL) {
        size_t n = strlen(e->d_name);

        if (e->d_name[0] != '.' && n <= VIF_NAME_MAX) {
            memcpy(name, e->d_name, n + 1);
            found = true;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return found;
}

static bool is_elsewhere(const struct device *dev)
{
    return dev->backend[0] != '\0' && strcmp(dev->backend, "0") != 0 &&
           strcmp(dev->backend, "Domain-0") != 0;
}

/* --- before anything is written -------------------------------------------------------------- */

static int check_bridge(struct dev_work *w, struct net *n, const struct device *dev, struct vif *v)
{
    struct net_link bridge;
    int rc = net_find(n, v->bridge, &bridge);

    if (rc == -ENODEV) {
        fail_set(w->f, -ENODEV, "network", dev->where, "there is no bridge %s", v->bridge);
        return fail_remedy(w->f,
                           "make it (ip link add %s type bridge; ip link set %s up), or name "
                           "another with bridge=",
                           v->bridge, v->bridge);
    }
    if (rc != 0) {
        return fail_set(w->f, rc, "network", dev->where, "the bridge %s cannot be looked at: %s",
                        v->bridge, strerror(-rc));
    }
    if (!bridge.is_bridge) {
        return fail_set(w->f, -EINVAL, "network", dev->where, "the interface %s is no bridge",
                        v->bridge);
    }
    if (v->mtu == 0) { /* nodes() tells the guest */
        v->mtu = bridge.mtu;
    }
    if (v->mtu > bridge.mtu) {
        log_warn("%s: mtu=%u is more than the %u of bridge %s", dev->where, v->mtu, bridge.mtu,
                 v->bridge);
    }
    return 0;
}

static int check_names(struct dev_work *w, struct net *n, const struct device *dev,
                       const struct vif *v)
{
    char own[VIF_NAME_MAX + 1] = ""; /* it has the name already if a killed daemon gave it */
    struct net_link link;

    find_interface(w->domid, dev->id, own);
    if (v->vifname[0] != '\0' && strcmp(v->vifname, own) != 0 &&
        net_find(n, v->vifname, &link) == 0) {
        fail_set(w->f, -EEXIST, "network", dev->where, "an interface %s exists", v->vifname);
        return fail_remedy(w->f, "choose another vifname=");
    }
    if (v->gatewaydev[0] != '\0' && net_find(n, v->gatewaydev, &link) != 0) {
        return fail_set(w->f, -ENODEV, "network", dev->where, "there is no interface %s",
                        v->gatewaydev);
    }
    return 0;
}

static int vif_prepare(struct dev_work *w, struct device *dev)
{
    struct vif *v = dev->own;
    struct net *n;
    int rc;

    if (is_elsewhere(dev)) {
        return 0; /* that domain has its own bridges */
    }
    if (v->mode == VIF_SCRIPT) {
        if (access(v->script, X_OK) != 0) {
            rc = -errno;
            return fail_set(w->f, rc, "network", v->script, "the script cannot be run: %s",
                            strerror(-rc));
        }
        return 0;
    }
    rc = net_open(&n);
    if (rc != 0) {
        return fail_set(w->f, rc, "network", dev->where, "no netlink socket: %s", strerror(-rc));
    }
    rc = v->mode == VIF_BRIDGE ? check_bridge(w, n, dev, v) : 0;
    rc = rc == 0 ? check_names(w, n, dev, v) : rc;
    net_close(n);
    return rc;
}

/* --- connecting ------------------------------------------------------------------------------ */

/* One of the kernel's settings of an interface; `family` is ipv4 or ipv6. */
static int set_knob(const char *family, const char *name, const char *knob, const char *value)
{
    char path[128];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, name, knob);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    n = write(fd, value, strlen(value));
    close(fd);
    return n > 0 ? 0 : -EIO;
}

struct step { /* of connecting one interface */
    struct dev_work *w;
    const struct device *dev;
    const struct vif *v;
    struct net *n;
    struct net_link link;
};

static int refused(struct step *s, int rc, const char *what)
{
    return fail_set(s->w->f, rc, "network", s->link.name, "%s: %s", what, strerror(-rc));
}

static int name_and_mtu(struct step *s)
{
    struct net_change c = { .index = s->link.index };
    int rc;

    if (s->v->vifname[0] != '\0' && strcmp(s->link.name, s->v->vifname) != 0) {
        c.name = s->v->vifname;
        rc = net_change(s->n, &c);
        if (rc != 0) {
            return refused(s, rc, "it cannot get the name of vifname=");
        }
        memcpy(s->link.name, s->v->vifname, sizeof(s->link.name));
    }
    if (s->v->mtu != 0 && s->v->mtu != s->link.mtu) {
        c = (struct net_change){ .index = s->link.index, .mtu = s->v->mtu };
        rc = net_change(s->n, &c);
        if (rc != 0) {
            return refused(s, rc, "the kernel refuses its MTU");
        }
    }
    return 0;
}

static int set_rules(struct step *s)
{
    char *text = malloc(NET_RULES_MAX);
    int rc = -ENOMEM;

    if (text != NULL) {
        rc = net_rules_text(text, NET_RULES_MAX, s->w->domid, s->dev->id, s->link.name, s->v);
    }
    if (rc == 0) {
        rc = net_rules_run(text, s->link.name, s->w->f);
    } else {
        refused(s, rc, "its packet rules cannot be made");
    }
    free(text);
    return rc;
}

static int join_bridge(struct step *s)
{
    struct net_change c = { .index = s->link.index, .up = true };
    struct net_link bridge;
    int rc = net_find(s->n, s->v->bridge, &bridge);

    if (rc == 0) {
        set_knob("ipv6", s->link.name, "disable_ipv6", "1"); /* the host does not speak here */
        c.master = bridge.index;
        rc = net_change(s->n, &c);
    }
    return rc == 0 ? 0 : refused(s, rc, "it cannot become a port of the bridge");
}

static int add_routes(struct step *s, const struct vif_ip *source)
{
    unsigned int i;
    int rc = 0;

    for (i = 0; i < s->v->ip_count && rc == 0; i++) {
        rc = net_add_route(s->n, s->link.index, &s->v->ip[i], source);
    }
    return rc == 0 ? 0 : refused(s, rc, "no route to the guest's address");
}

static int route(struct step *s)
{
    struct net_change c = { .index = s->link.index, .up = true };
    struct net_link out;
    struct vif_ip own;
    bool has_own = false;
    int rc = net_change(s->n, &c);

    if (rc != 0) {
        return refused(s, rc, "it cannot be brought up");
    }
    if (s->v->mode == VIF_NAT) {
        vif_gateway(&s->v->ip[0], &own);
        has_own = true;
        rc = net_add_address(s->n, s->link.index, &own);
        if (rc != 0 && rc != -EEXIST) {
            return refused(s, rc, "it cannot get the host's address");
        }
    } else if (s->v->gatewaydev[0] != '\0' && net_find(s->n, s->v->gatewaydev, &out) == 0) {
        has_own = net_first_address(s->n, out.index, &own) == 0;
    }
    if (set_knob("ipv4", s->link.name, "proxy_arp", "1") != 0 ||
        set_knob("ipv4", "all", "forwarding", "1") != 0) {
        return refused(s, -EIO, "forwarding cannot be switched on");
    }
    if (s->v->mode == VIF_ROUTE) {
        set_knob("ipv6", s->link.name, "proxy_ndp", "1");
        set_knob("ipv6", "all", "forwarding", "1");
    }
    return add_routes(s, has_own ? &own : NULL);
}

/* Waits until netback has made the interface. */
static int wait_interface(struct dev_work *w, const struct device *dev, char *name)
{
    unsigned int waited;

    for (waited = 0; waited < LINK_WAIT; waited += LINK_STEP) {
        if (find_interface(w->domid, dev->id, name)) {
            return 0;
        }
        poll(NULL, 0, LINK_STEP);
    }
    fail_set(w->f, -ETIMEDOUT, "network", dev->where, "xen-netback made no interface within %d s",
             LINK_WAIT / 1000);
    return fail_remedy(w->f, "see the control domain's kernel log");
}

static int connect_natively(struct dev_work *w, const struct device *dev, const char *name)
{
    struct step s = { .w = w, .dev = dev, .v = dev->own };
    int rc = net_open(&s.n);

    if (rc != 0) {
        return fail_set(w->f, rc, "network", name, "no netlink socket: %s", strerror(-rc));
    }
    rc = net_find(s.n, name, &s.link);
    if (rc != 0) {
        fail_set(w->f, rc, "network", name, "the interface cannot be looked at: %s", strerror(-rc));
    }
    rc = rc == 0 ? name_and_mtu(&s) : rc;
    rc = rc == 0 ? set_rules(&s) : rc; /* before it is up: no packet passes unchecked */
    if (rc == 0) {
        rc = s.v->mode == VIF_BRIDGE ? join_bridge(&s) : route(&s);
    }
    net_close(s.n);
    return rc;
}

static int vif_plug(struct dev_work *w, const struct device *dev, const struct dev_paths *at)
{
    const struct vif *v = dev->own;
    char name[VIF_NAME_MAX + 1];
    int rc = wait_interface(w, dev, name);

    if (rc == 0) {
        rc = v->mode == VIF_SCRIPT ? net_script_run(w, v->script, "online", name, at)
                                   : connect_natively(w, dev, name);
    }
    if (rc != 0) {
        return rc;
    }
    rc = dev_set(w, at->back, "hotplug-status", "connected");
    if (rc != 0) {
        fail_set(w->f, rc, "network", dev->where, "the store refuses: %s", strerror(-rc));
    }
    return rc;
}

/* --- taking away ----------------------------------------------------------------------------- */

/* The private copy says whether the interface was connected by a program, and by which. */
static bool script_of(struct dev_work *w, const struct dev_paths *at, char *script, size_t size)
{
    char mode[16];

    return dev_get(w, at->priv, "mode", mode, sizeof(mode)) && strcmp(mode, "script") == 0 &&
           dev_get(w, at->priv, "script", script, size);
}

static void vif_unplug(struct dev_work *w, unsigned int id, const struct dev_paths *at)
{
    struct fail ignored = { 0 };
    struct dev_work quiet = *w;
    char name[VIF_NAME_MAX + 1];
    char text[256];
    char line[1024];
    char script[VIF_SCRIPT_MAX + 1];

    quiet.f = &ignored;
    if (!find_interface(w->domid, id, name) &&
        !dev_get(w, at->priv, "vifname", name, sizeof(name))) {
        snprintf(name, sizeof(name), "vif%u.%u", w->domid, id);
    }
    if (script_of(w, at, script, sizeof(script)) &&
        net_script_run(&quiet, script, "offline", name, at) != 0) {
        fail_text(&ignored, line, sizeof(line));
        log_warn("%s: %s", w->name, line);
    }
    /* no `ip`, no rules; without the private copy there may be some, and removing none is fine */
    if (dev_get(w, at->priv, "ip", text, sizeof(text)) ||
        !dev_get(w, at->priv, "mode", text, sizeof(text))) {
        net_rules_removal(text, sizeof(text), w->domid, id);
        net_rules_run(text, name, &ignored);
    }
}

static void vif_sweep(struct dev_work *w, const struct config *keep)
{
    if (keep == NULL) {
        net_rules_sweep(w->domid);
    }
}

const struct dev_host vif_host = {
    .module = "xen-netback",
    .has_states = true,
    .prepare = vif_prepare,
    .plug = vif_plug,
    .unplug = vif_unplug,
    .sweep = vif_sweep,
};
