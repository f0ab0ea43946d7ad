/* SPDX-License-Identifier: MIT */
/*
 * The decision table: which processor has which flaw, and what is done about it.
 *
 * Facts: Intel, "Affected Processors: Transient Execution Attacks" (consolidated table by family,
 * model and stepping); IA32_ARCH_CAPABILITIES and IA32_SPEC_CTRL in SDM vol. 4 table 2-2; AMD,
 * "Software Techniques for Managing Speculation", bulletins 1037 (branch types), 7005 (SRSO), 7008
 * (Zenbleed), 7007 (quotient); APM vol. 3 appendix E.
 */
#include <stddef.h>

#include "guest/spec.h"
#include "lib/kv.h"
#include "lib/str.h"

#define L7_EBX_RTM      (UINT32_C(1) << 11)
#define L7_EBX_AVX2     (UINT32_C(1) << 5)
#define L7_EDX_SRBDS    (UINT32_C(1) << 9)
#define L7_EDX_MD_CLEAR (UINT32_C(1) << 10)
#define L7_EDX_IBRS     (UINT32_C(1) << 26)
#define L7_EDX_L1D      (UINT32_C(1) << 28)
#define L72_EDX_RRSBA   (UINT32_C(1) << 2)
#define L72_EDX_BHI     (UINT32_C(1) << 4)
#define E8_EBX_FPU_PTRS (UINT32_C(1) << 2)
#define E8_EBX_IBPB     (UINT32_C(1) << 12)
#define E8_EBX_BTC_NO   (UINT32_C(1) << 29)
#define E21_EAX_AIBRS   (UINT32_C(1) << 8)
#define E21_EAX_IBPB_BT (UINT32_C(1) << 28)
#define E21_EAX_SRSO_NO (UINT32_C(1) << 29)

#define CAPS_RDCL_NO    (UINT64_C(1) << 0)
#define CAPS_IBRS_ALL   (UINT64_C(1) << 1)
#define CAPS_MDS_NO     (UINT64_C(1) << 5)
#define CAPS_TAA_NO     (UINT64_C(1) << 8)
#define CAPS_MMIO_NO    (UINT64_C(7) << 13) /* SBDR_SSDP, FBSDP, PSDP: all three */
#define CAPS_FB_CLEAR   (UINT64_C(1) << 17)
#define CAPS_BHI_NO     (UINT64_C(1) << 20)
#define CAPS_GDS_CTRL   (UINT64_C(1) << 25)
#define CAPS_GDS_NO     (UINT64_C(1) << 26)
#define CAPS_RFDS_NO    (UINT64_C(1) << 27)
#define CAPS_RFDS_CLEAR (UINT64_C(1) << 28)

#define SC_IBRS    (UINT64_C(1) << 0)
#define SC_RRSBA   (UINT64_C(1) << 6)
#define SC_BHI_DIS (UINT64_C(1) << 10)

/* What a model's row says beside the flaws it has. */
#define IN_ORDER (UINT32_C(1) << 30) /* none of the flaws of out-of-order processors */
#define NO_L1TF  (UINT32_C(1) << 29)
#define NO_MDS   (UINT32_C(1) << 28)

#define SKYLAKE (SPEC_MMIO | SPEC_RETBLEED | SPEC_GDS | SPEC_SRBDS)
#define ICELAKE (SPEC_MMIO | SPEC_GDS)

/*
 * Intel, family 6.  A model that is not here has the flaws that its capabilities do not deny:
 * branch prediction, Meltdown, L1TF, MDS, TAA.
 */
static const struct {
    uint8_t model;
    uint8_t last_stepping; /* the row is for steppings up to this one */
    uint32_t is;
} intel[] = {
    { 0x1c, 15, IN_ORDER }, /* Bonnell */
    { 0x26, 15, IN_ORDER },
    { 0x27, 15, IN_ORDER }, /* Saltwell */
    { 0x35, 15, IN_ORDER },
    { 0x36, 15, IN_ORDER },
    { 0x37, 15, NO_L1TF }, /* Silvermont */
    { 0x4a, 15, NO_L1TF },
    { 0x4d, 15, NO_L1TF },
    { 0x4c, 15, NO_L1TF }, /* Airmont */
    { 0x5a, 15, NO_L1TF },
    { 0x75, 15, NO_L1TF },
    { 0x57, 15, NO_L1TF }, /* Knights Landing */
    { 0x85, 15, NO_L1TF },
    { 0x5c, 15, NO_L1TF | NO_MDS | SPEC_RFDS }, /* Goldmont */
    { 0x5f, 15, NO_L1TF | NO_MDS | SPEC_RFDS },
    { 0x7a, 15, NO_L1TF | NO_MDS | SPEC_RFDS },
    { 0x86, 15, NO_L1TF | NO_MDS | SPEC_MMIO | SPEC_RFDS }, /* Tremont */
    { 0x96, 15, NO_L1TF | NO_MDS | SPEC_MMIO | SPEC_RFDS },
    { 0x9c, 15, NO_L1TF | NO_MDS | SPEC_MMIO | SPEC_RFDS },
    { 0xbe, 15, NO_L1TF | NO_MDS | SPEC_RFDS }, /* Gracemont */
    { 0x3a, 15, SPEC_SRBDS },                   /* Ivy Bridge */
    { 0x3c, 15, SPEC_SRBDS },                   /* Haswell */
    { 0x45, 15, SPEC_SRBDS },
    { 0x46, 15, SPEC_SRBDS },
    { 0x3f, 15, SPEC_MMIO },
    { 0x3d, 15, SPEC_SRBDS }, /* Broadwell */
    { 0x47, 15, SPEC_SRBDS },
    { 0x4f, 15, SPEC_MMIO },
    { 0x56, 15, SPEC_MMIO },
    { 0x4e, 15, SKYLAKE },
    { 0x5e, 15, SKYLAKE },
    { 0x55, 4, SPEC_MMIO | SPEC_RETBLEED | SPEC_GDS }, /* Skylake server */
    { 0x55, 15, SPEC_MMIO | SPEC_GDS },                /* Cascade Lake, Cooper Lake: eIBRS */
    { 0x8e, 15, SKYLAKE },                             /* Kaby Lake and on */
    { 0x9e, 15, SKYLAKE },
    { 0xa5, 15, SKYLAKE },
    { 0xa6, 15, SKYLAKE },
    { 0x66, 15, SPEC_RETBLEED }, /* Cannon Lake */
    { 0x6a, 15, ICELAKE },
    { 0x6c, 15, ICELAKE },
    { 0x7d, 15, ICELAKE },
    { 0x7e, 15, ICELAKE },
    { 0xa7, 15, ICELAKE },   /* Rocket Lake */
    { 0x8a, 15, SPEC_MMIO }, /* Lakefield */
    { 0x8c, 15, SPEC_GDS },  /* Tiger Lake */
    { 0x8d, 15, SPEC_GDS },
    { 0x97, 15, SPEC_RFDS }, /* Alder Lake */
    { 0x9a, 15, SPEC_RFDS },
    { 0xb7, 15, SPEC_RFDS }, /* Raptor Lake */
    { 0xba, 15, SPEC_RFDS },
    { 0xbf, 15, SPEC_RFDS },
};

/* AMD and Hygon, by family and model; of several rows all hold. */
static const struct {
    uint8_t family;
    uint8_t first_model, last_model;
    uint32_t is;
} amd[] = {
    { 0x15, 0, 255, SPEC_RETBLEED }, /* Bulldozer and on */
    { 0x16, 0, 255, SPEC_RETBLEED }, /* Jaguar */
    { 0x17, 0, 255, SPEC_RETBLEED | SPEC_SRSO },
    { 0x17, 0, 0x2f, SPEC_DIV0 }, /* Zen 1 */
    { 0x17, 0x50, 0x5f, SPEC_DIV0 },
    { 0x17, 0x30, 0x4f, SPEC_ZENBLEED },
    { 0x17, 0x60, 0x7f, SPEC_ZENBLEED },
    { 0x17, 0x90, 0x91, SPEC_ZENBLEED },
    { 0x17, 0xa0, 0xaf, SPEC_ZENBLEED },
    { 0x18, 0, 255, SPEC_RETBLEED | SPEC_SRSO | SPEC_DIV0 },
    { 0x19, 0, 255, SPEC_SRSO },
};

static const char *const names[SPEC_FLAWS] = { "Spectre-v2", "Meltdown", "L1TF",     "MDS",  "TAA",
                                               "MMIO",       "RFDS",     "Retbleed", "SRSO", "GDS",
                                               "SRBDS",      "Zenbleed", "DIV0",     "BHI" };

const char *spec_flaw_name(unsigned int n)
{
    return n < SPEC_FLAWS ? names[n] : "?";
}

static uint32_t intel_row(const struct spec_cpu *c)
{
    for (size_t i = 0; i < sizeof intel / sizeof intel[0]; i++) {
        if (intel[i].model == c->model && c->stepping <= intel[i].last_stepping) {
            return intel[i].is;
        }
    }
    return 0;
}

/* What the capabilities deny is not there, whatever the model. */
static uint32_t intel_flaws(const struct spec_cpu *c)
{
    uint32_t row =
        c->family == 6 ? intel_row(c) : IN_ORDER; /* NetBurst and before: as Intel says */
    uint32_t is = SPEC_V2;

    if ((row & IN_ORDER) != 0) {
        return c->family == 6 ? 0 : SPEC_V2;
    }
    is |= row & ((1u << SPEC_FLAWS) - 1);
    if ((c->arch_caps & CAPS_RDCL_NO) == 0) {
        is |= SPEC_MELTDOWN | ((row & NO_L1TF) != 0 ? 0u : SPEC_L1TF);
    }
    if ((c->arch_caps & CAPS_MDS_NO) == 0 && (row & NO_MDS) == 0) {
        is |= SPEC_MDS;
    }
    if ((c->leaf7_ebx & L7_EBX_RTM) != 0 && (c->arch_caps & CAPS_TAA_NO) == 0) {
        is |= SPEC_TAA;
    }
    if ((c->arch_caps & CAPS_MMIO_NO) == CAPS_MMIO_NO) {
        is &= ~(uint32_t)SPEC_MMIO;
    }
    if ((c->arch_caps & CAPS_RFDS_NO) != 0) {
        is &= ~(uint32_t)SPEC_RFDS;
    }
    if ((c->arch_caps & CAPS_GDS_NO) != 0 || (c->leaf7_ebx & L7_EBX_AVX2) == 0) {
        is &= ~(uint32_t)SPEC_GDS;
    }
    if ((c->arch_caps & CAPS_IBRS_ALL) != 0) {
        is &= ~(uint32_t)SPEC_RETBLEED;
    }
    if ((c->arch_caps & CAPS_BHI_NO) == 0) {
        is |= SPEC_BHI;
    }
    return is;
}

static uint32_t amd_flaws(const struct spec_cpu *c)
{
    uint32_t is = SPEC_V2;

    for (size_t i = 0; i < sizeof amd / sizeof amd[0]; i++) {
        if (amd[i].family == c->family && c->model >= amd[i].first_model &&
            c->model <= amd[i].last_model) {
            is |= amd[i].is;
        }
    }
    if ((c->ext8_ebx & E8_EBX_BTC_NO) != 0) {
        is &= ~(uint32_t)SPEC_RETBLEED;
    }
    if ((c->ext21_eax & E21_EAX_SRSO_NO) != 0) {
        is &= ~(uint32_t)SPEC_SRSO;
    }
    return is;
}

/* `spec-ctrl=`, taken apart: -1 = as the processor needs. */
struct wishes {
    bool off;
    int thunk, ibrs, ibpb, ibpb_entry, rsb, verw, l1d, div;
};

static int truth(struct slice s)
{
    static const char *const yes[] = { "1", "yes", "on", "true", "enable" };
    static const char *const no[] = { "0", "no", "off", "false", "disable" };

    for (size_t i = 0; i < 5; i++) {
        if (slice_eq(s, yes[i])) {
            return 1;
        }
        if (slice_eq(s, no[i])) {
            return 0;
        }
    }
    return -1;
}

static int thunk_of(struct slice s)
{
    return slice_eq(s, "jmp")         ? THUNK_PLAIN
           : slice_eq(s, "lfence")    ? THUNK_LFENCE
           : slice_eq(s, "retpoline") ? THUNK_RETPOLINE
                                      : -1;
}

/* One word of the list: <bool>, <name>, no-<name>, <name>=<bool>. What is not known changes
 * nothing. */
static void wish(struct wishes *w, struct slice s)
{
    const struct {
        const char *name;
        int *to;
    } known[] = { { "ibrs", &w->ibrs },     { "ibpb", &w->ibpb },
                  { "rsb", &w->rsb },       { "ibpb-entry", &w->ibpb_entry },
                  { "verw", &w->verw },     { "md-clear", &w->verw },
                  { "l1d-flush", &w->l1d }, { "div-scrub", &w->div } };
    size_t name = 0;
    int value = 1;

    if (truth(s) == 0) {
        w->off = true;
    }
    if (s.len > 3 && s.at[0] == 'n' && s.at[1] == 'o' && s.at[2] == '-') {
        s.at += 3;
        s.len -= 3;
        value = 0;
    }
    while (name < s.len && s.at[name] != '=') {
        name++;
    }
    if (name < s.len) {
        struct slice v = { .at = s.at + name + 1, .len = s.len - name - 1 };

        if (str_eq_n(s.at, name, "bti-thunk")) {
            w->thunk = thunk_of(v);
        }
        value = truth(v);
    }
    s.len = name;
    if (slice_eq(s, "xen") && value == 0) {
        w->off = true;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_eq(s, known[i].name) && value >= 0) {
            *known[i].to = value;
        }
    }
}

static struct wishes parse(const char *text)
{
    struct wishes w = { false, -1, -1, -1, -1, -1, -1, -1, -1 };
    struct slice rest = slice_of(text);
    struct slice item;

    while (kv_item(&rest, ',', &item)) {
        wish(&w, item);
    }
    return w;
}

static bool chosen(int wish, bool needed, bool able)
{
    return able && (wish < 0 ? needed : wish != 0);
}

/* Indirect branches and returns. */
static void decide_branches(const struct spec_cpu *c, const struct wishes *w, struct spec_plan *p)
{
    bool ibrs = (c->leaf7_edx & L7_EDX_IBRS) != 0;
    bool ibpb = ibrs || (c->ext8_ebx & E8_EBX_IBPB) != 0;
    bool all = ibrs && c->is_intel && (c->arch_caps & CAPS_IBRS_ALL) != 0;
    bool v2 = (p->flaws & SPEC_V2) != 0;
    bool amd_ret = c->is_amd && (p->flaws & (SPEC_RETBLEED | SPEC_SRSO)) != 0;
    /* Zen 3 and 4 flush what SRSO trains only with newer microcode. */
    bool flushes = ibpb && (c->family != 0x19 || (c->ext21_eax & E21_EAX_IBPB_BT) != 0);

    p->auto_ibrs = chosen(w->ibrs, v2, c->is_amd && (c->ext21_eax & E21_EAX_AIBRS) != 0);
    if (chosen(w->ibrs, v2, all)) {
        p->spec_ctrl = SC_IBRS | ((c->leaf7_2_edx & L72_EDX_RRSBA) != 0 ? SC_RRSBA : 0) |
                       ((c->leaf7_2_edx & L72_EDX_BHI) != 0 ? SC_BHI_DIS : 0);
    }
    p->ibrs_entry = chosen(w->ibrs, c->is_intel && (p->flaws & SPEC_RETBLEED) != 0, ibrs && !all);
    p->thunk = w->thunk >= 0         ? (enum spec_thunk)w->thunk
               : v2 && !p->auto_ibrs ? THUNK_RETPOLINE
                                     : THUNK_PLAIN;
    p->ibpb_switch = chosen(w->ibpb, v2, ibpb);
    p->ibpb_entry = chosen(w->ibpb_entry, amd_ret, flushes);
    /* A return may go to a guest's page unless SMEP keeps us from there. */
    p->rsb_entry = chosen(w->rsb, v2 && !c->smep, true);
    p->open |= v2 && p->thunk == THUNK_PLAIN && !p->auto_ibrs ? SPEC_V2 : 0;
    if (c->is_amd && !p->ibpb_entry) {
        p->open |= p->flaws & (SPEC_RETBLEED | SPEC_SRSO);
    } else if (!p->ibrs_entry) {
        p->open |= p->flaws & (c->is_intel ? SPEC_RETBLEED : 0);
    }
    if (p->thunk != THUNK_RETPOLINE && (p->spec_ctrl & SC_BHI_DIS) == 0) {
        p->open |= p->flaws & SPEC_BHI;
    }
}

/* What reads other's data from inside the processor. */
static void decide_data(const struct spec_cpu *c, const struct wishes *w, struct spec_plan *p)
{
    uint32_t cleared = 0; /* by VERW, with this microcode */

    cleared |= (c->leaf7_edx & L7_EDX_MD_CLEAR) != 0 ? SPEC_MDS | SPEC_TAA : 0;
    cleared |= (c->arch_caps & CAPS_FB_CLEAR) != 0 ? SPEC_MMIO : 0;
    /* Those with MDS clear the fill buffers with the rest. */
    cleared |= (cleared & SPEC_MDS) != 0 && (p->flaws & SPEC_MDS) != 0 ? SPEC_MMIO : 0;
    cleared |= (c->arch_caps & CAPS_RFDS_CLEAR) != 0 ? SPEC_RFDS : 0;
    p->verw_exit = chosen(w->verw, (p->flaws & cleared) != 0, true);
    p->open |=
        p->flaws & (SPEC_MDS | SPEC_TAA | SPEC_MMIO | SPEC_RFDS) & ~(p->verw_exit ? cleared : 0u);
    p->l1d_switch = chosen(w->l1d, (p->flaws & SPEC_L1TF) != 0, (c->leaf7_edx & L7_EDX_L1D) != 0);
    p->l1tf_entries = (p->flaws & SPEC_L1TF) != 0;
    p->div_exit = chosen(w->div, (p->flaws & SPEC_DIV0) != 0, true);
    p->open |= p->div_exit ? 0 : p->flaws & SPEC_DIV0;
    p->zen_chicken = (p->flaws & SPEC_ZENBLEED) != 0 && !w->off;
    p->open |= p->zen_chicken ? 0 : p->flaws & SPEC_ZENBLEED;
    /* Closed by microcode, which says so. */
    p->open |= (c->arch_caps & CAPS_GDS_CTRL) != 0 ? 0 : p->flaws & SPEC_GDS;
    p->open |= (c->leaf7_edx & L7_EDX_SRBDS) != 0 ? 0 : p->flaws & SPEC_SRBDS;
}

void spec_decide(const struct spec_cpu *c, const struct spec_options *o, struct spec_plan *p)
{
    struct wishes w = parse(o->spec_ctrl);

    *p = (struct spec_plan){ 0 };
    if (!c->emulated) {
        p->flaws = c->is_intel ? intel_flaws(c) : c->is_amd ? amd_flaws(c) : SPEC_V2;
    }
    if (w.off) {
        p->open = p->flaws;
    } else {
        decide_branches(c, &w, p);
        decide_data(c, &w, p);
    }
    /* No matter of speculation, so no option: the pointers go with the rest of the x87's state only
     * while an exception is pending, unless the bit says otherwise (APM vol. 3, appendix E). */
    p->fpu_pointers = c->is_amd && !c->emulated && (c->ext8_ebx & E8_EBX_FPU_PTRS) == 0;
    bool needed = (p->flaws & SPEC_MELTDOWN) != 0;
    p->xpti_dom0 = o->xpti_dom0 < 0 ? needed : o->xpti_dom0 != 0;
    p->xpti_domu = o->xpti_domu < 0 ? needed : o->xpti_domu != 0;
    p->open = (p->open & ~(uint32_t)SPEC_MELTDOWN) |
              (needed && !(p->xpti_dom0 && p->xpti_domu) ? SPEC_MELTDOWN : 0);
}
