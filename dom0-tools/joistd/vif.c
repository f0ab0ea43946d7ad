/* SPDX-License-Identifier: MIT */
/* The class of network interfaces: addresses, clashes, store nodes.  No side effects. */
#include "joistd/vif.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "joistd/config.h"

#define CLASS_MAX 32 /* interfaces of one guest */

static int same_mac(const struct vif *a, const struct vif *b)
{
    return memcmp(a->mac, b->mac, sizeof(a->mac)) == 0;
}

static bool same_name(const struct vif *a, const struct vif *b)
{
    return a->vifname[0] != '\0' && strcmp(a->vifname, b->vifname) == 0;
}

/* Two devices that cannot be at the same time; `whose` names the owner of the other. */
static int compare(const struct device *mine, const struct device *other, const char *whose,
                   struct fail *f)
{
    const struct vif *a = mine->own;
    const struct vif *b = other->own;
    char mac[18];

    if (same_mac(a, b)) {
        vif_mac_format(a->mac, mac);
        fail_set(f, -EEXIST, "network", mine->where, "the MAC address %s is that of %s", mac,
                 whose);
        return fail_remedy(f, "choose another mac=, or leave it out to get one");
    }
    if (same_name(a, b) && strcmp(mine->backend, other->backend) == 0) { /* on one machine */
        return fail_set(f, -EEXIST, "network", mine->where, "vifname=%s is taken by %s", a->vifname,
                        whose);
    }
    return 0;
}

static int vif_finish(const struct config *c, struct device *dev, struct fail *f)
{
    struct vif *v = dev->own;
    const struct device *other;
    char whose[64];
    unsigned int i;
    int rc;

    if (!v->has_mac) {
        vif_mac_generate(v->mac, c->uuid, dev->id);
        v->has_mac = true;
    }
    for (i = 0; i < c->device_count && c->devices[i] != dev; i++) { /* those before it */
        other = c->devices[i];
        if (other->class != &vif_class) {
            continue;
        }
        snprintf(whose, sizeof(whose), "the guest's interface %u", other->id);
        rc = compare(dev, other, whose, f);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int vif_clash(const struct device *mine, const struct device *other, const char *other_guest,
                     struct fail *f)
{
    char whose[128];

    snprintf(whose, sizeof(whose), "the guest %.64s", other_guest);
    return compare(mine, other, whose, f);
}

static bool vif_is_called(const struct device *dev, const char *text)
{
    const struct vif *v = dev->own;
    uint8_t mac[6];

    return (vif_mac_parse(mac, text) == 0 && memcmp(mac, v->mac, sizeof(mac)) == 0) ||
           (v->vifname[0] != '\0' && strcmp(v->vifname, text) == 0);
}

static void vif_nodes(struct dev_nodes *n, const struct dev_env *env, const struct device *dev)
{
    static const char *const mode[] = { "bridge", "route", "nat", "script" };
    const struct vif *v = dev->own;
    char mac[18];

    (void)env;
    vif_mac_format(v->mac, mac);
    dev_front(n, "handle", "%u", dev->id);
    dev_front(n, "mac", "%s", mac);
    dev_front(n, "trusted", "%u", v->is_trusted ? 1u : 0u);
    dev_back(n, "handle", "%u", dev->id);
    dev_back(n, "mac", "%s", mac);
    dev_back(n, "type", "vif");
    /* netback does not start without it; nobody runs it when the mode is one of ours */
    if (v->mode == VIF_SCRIPT) {
        dev_back(n, "script", "%s", v->script);
    } else {
        dev_back(n, "script", VIF_SCRIPT_DIR "/vif-%s", mode[v->mode]);
    }
    dev_private(n, "mode", "%s", mode[v->mode]);
    if (v->bridge[0] != '\0') {
        dev_back(n, "bridge", "%s", v->bridge);
    }
    if (v->ip_text[0] != '\0') {
        dev_back(n, "ip", "%s", v->ip_text);
    }
    if (v->rate_bytes != 0) {
        dev_back(n, "rate", "%u,%u", v->rate_bytes, v->rate_usec);
    }
    if (v->vifname[0] != '\0') {
        dev_back(n, "vifname", "%s", v->vifname);
    }
    if (v->gatewaydev[0] != '\0') {
        dev_back(n, "gatewaydev", "%s", v->gatewaydev);
    }
    if (v->mtu != 0) {
        dev_front(n, "mtu", "%u", v->mtu);
        dev_back(n, "mtu", "%u", v->mtu);
    }
    dev_back(n, "hotplug-status", "%s", "");
}

const struct dev_class vif_class = {
    .kind = DEV_VIF,
    .name = "vif",
    .key = "vif",
    .noun = "network interface",
    .max = CLASS_MAX,
    .id_key = "devid",
    .size = sizeof(struct vif),
    .parse = vif_parse,
    .finish = vif_finish,
    .clash = vif_clash,
    .is_called = vif_is_called,
    .nodes = vif_nodes,
};
