/* SPDX-License-Identifier: MIT */
/*
 * What a PV kernel's ELF file says about itself. Layouts: the ELF-64 object file format; notes: the
 * public ABI's elfnote.h. The file is outside input: each header is copied out of it once, and
 * every offset is checked before use.
 */

#include "lib/elf.h"

#include "lib/mem.h"
#include "lib/str.h"
#include "abi/arch_x86_64.h"
#include "abi/elfnote.h"
#include "abi/features.h"

struct elf_header {
    unsigned char ident[16];
    uint16_t type;
    uint16_t machine;
    uint32_t version;
    uint64_t entry;
    uint64_t phoff;
    uint64_t shoff;
    uint32_t flags;
    uint16_t ehsize;
    uint16_t phentsize;
    uint16_t phnum;
    uint16_t shentsize;
    uint16_t shnum;
    uint16_t shstrndx;
};

struct elf_segment {
    uint32_t type;
    uint32_t flags;
    uint64_t offset;
    uint64_t vaddr;
    uint64_t paddr;
    uint64_t filesz;
    uint64_t memsz;
    uint64_t align;
};

struct elf_section {
    uint32_t name;
    uint32_t type;
    uint64_t flags;
    uint64_t addr;
    uint64_t offset;
    uint64_t size;
    uint32_t link;
    uint32_t info;
    uint64_t addralign;
    uint64_t entsize;
};

struct elf_note {
    uint32_t namesz;
    uint32_t descsz;
    uint32_t type;
};

#define ELFCLASS64    2
#define ELFDATA2LSB   1
#define ET_EXEC       2
#define ET_DYN        3
#define EM_X86_64     62
#define PT_LOAD       1
#define PT_NOTE       4
#define SHT_NOTE      7
#define PHDRS_MAX     128
#define SHDRS_MAX     4096
#define SIZE_MAX_SANE (UINT64_C(1) << 40)

struct reader {
    const unsigned char *file;
    uint64_t size;
    struct elf_header header;
    struct image_info *out;
    bool has_xen;    /* some Xen note was seen */
    bool has_entry;  /* the PV entry point among them */
    bool has_phys32; /* the PVH entry point */
    bool has_virt_base;
    bool has_paddr_offset;
};

/* Copy `size` bytes at `offset` of the file; false if they are not all inside. */
static bool fetch(const struct reader *r, uint64_t offset, void *to, uint64_t size)
{
    if (offset > r->size || size > r->size - offset) {
        return false;
    }
    memcpy(to, r->file + offset, size);
    return true;
}

static int read_header(struct reader *r)
{
    static const unsigned char magic[4] = { 0x7f, 'E', 'L', 'F' };
    struct elf_header *h = &r->header;

    if (!fetch(r, 0, h, sizeof(*h))) {
        return ELF_ERR_SHORT;
    }
    if (memcmp(h->ident, magic, sizeof(magic)) != 0) {
        return ELF_ERR_MAGIC;
    }
    if (h->ident[4] != ELFCLASS64 || h->ident[5] != ELFDATA2LSB) {
        return ELF_ERR_CLASS;
    }
    if (h->type != ET_EXEC && h->type != ET_DYN) {
        return ELF_ERR_TYPE;
    }
    if (h->machine != EM_X86_64) {
        return ELF_ERR_MACHINE;
    }
    if (h->phnum == 0 || h->phnum > PHDRS_MAX || h->phentsize != sizeof(struct elf_segment) ||
        h->phoff > r->size ||
        (uint64_t)h->phnum * sizeof(struct elf_segment) > r->size - h->phoff) {
        return ELF_ERR_PHDR;
    }
    return ELF_ERR_NONE;
}

static bool read_segment(const struct reader *r, unsigned int i, struct elf_segment *ph)
{
    return fetch(r, r->header.phoff + (uint64_t)i * sizeof(*ph), ph, sizeof(*ph));
}

/* The names of the FEATURES note, in the order of their bits; NULL = no name. */
static const char *const feature_names[] = {
    [XENFEAT_writable_page_tables] = "writable_page_tables",
    [XENFEAT_writable_descriptor_tables] = "writable_descriptor_tables",
    [XENFEAT_auto_translated_physmap] = "auto_translated_physmap",
    [XENFEAT_supervisor_mode_kernel] = "supervisor_mode_kernel",
    [XENFEAT_pae_pgdir_above_4gb] = "pae_pgdir_above_4gb",
    [XENFEAT_dom0] = "dom0",
};

/* What a kernel may require: writable page tables and descriptor tables by emulation, and to be the
 * control domain. */
#define FEATURES_OFFERED                                                                        \
    (UINT64_C(1) << XENFEAT_writable_page_tables | UINT64_C(1) << XENFEAT_pae_pgdir_above_4gb | \
     UINT64_C(1) << XENFEAT_mmu_pt_update_preserve_ad | UINT64_C(1) << XENFEAT_highmem_assist | \
     UINT64_C(1) << XENFEAT_gnttab_map_avail_bits | UINT64_C(1) << XENFEAT_dom0 |               \
     UINT64_C(1) << XENFEAT_memory_op_vnode_supported)

/* FEATURES: names joined by `|`; a `!` in front makes one required. An unknown name matters only if
 * it is required. */
static int note_features(struct reader *r, const char *text, size_t n)
{
    while (n > 0) {
        size_t len = 0;
        bool required = text[0] == '!';
        bool known = false;

        while (len < n && text[len] != '|') {
            len++;
        }
        for (unsigned int bit = 0; bit < sizeof(feature_names) / sizeof(feature_names[0]); bit++) {
            if (feature_names[bit] != NULL && len > required &&
                str_eq_n(text + required, len - required, feature_names[bit])) {
                r->out->features |= UINT64_C(1) << bit;
                r->out->features_required |= required ? UINT64_C(1) << bit : 0;
                known = true;
            }
        }
        if (required && !known) {
            return ELF_ERR_FEATURE;
        }
        len += len < n;
        text += len;
        n -= len;
    }
    return ELF_ERR_NONE;
}

/* A number of 4 or 8 bytes. */
static bool note_number(const unsigned char *desc, uint32_t size, uint64_t *out)
{
    uint32_t small;

    if (size == sizeof(uint64_t)) {
        memcpy(out, desc, sizeof(*out));
        return true;
    }
    if (size == sizeof(small)) {
        memcpy(&small, desc, sizeof(small));
        *out = small;
        return true;
    }
    return false;
}

static void note_text(char *to, size_t to_size, const unsigned char *desc, size_t size)
{
    size_t n = str_nlen((const char *)desc, size);

    n = n < to_size ? n : to_size - 1;
    memcpy(to, desc, n);
    to[n] = '\0';
}

/* SUSPEND_CANCEL and MOD_START_PFN: any non-zero number, or an empty descriptor, means yes. */
static bool note_flag(const unsigned char *desc, uint32_t size, bool *out)
{
    uint64_t value = 1;

    if (size != 0 && !note_number(desc, size, &value)) {
        return false;
    }
    *out = value != 0;
    return true;
}

static bool note_l1_valid(struct image_info *out, const unsigned char *desc, uint32_t size)
{
    if (size < 2 * sizeof(uint64_t)) {
        return false;
    }
    memcpy(&out->l1_mfn_mask, desc, sizeof(uint64_t));
    memcpy(&out->l1_mfn_value, desc + sizeof(uint64_t), sizeof(uint64_t));
    return true;
}

static bool note_address(struct reader *r, uint32_t type, const unsigned char *desc, uint32_t size)
{
    struct image_info *out = r->out;

    switch (type) {
    case XEN_ELFNOTE_ENTRY:
        r->has_entry = true;
        return note_number(desc, size, &out->entry);
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        return note_number(desc, size, &out->hypercall_page);
    case XEN_ELFNOTE_VIRT_BASE:
        r->has_virt_base = true;
        return note_number(desc, size, &out->virt_base);
    case XEN_ELFNOTE_PADDR_OFFSET:
        r->has_paddr_offset = true;
        return note_number(desc, size, &out->paddr_offset);
    case XEN_ELFNOTE_HV_START_LOW:
        return note_number(desc, size, &out->hv_start_low);
    case XEN_ELFNOTE_INIT_P2M:
        return note_number(desc, size, &out->init_p2m);
    default:
        return true;
    }
}

static int note_xen(struct reader *r, uint32_t type, const unsigned char *desc, uint32_t size)
{
    struct image_info *out = r->out;
    uint64_t bits = 0;
    bool ok = true;

    r->has_xen = true;
    switch (type) {
    case XEN_ELFNOTE_XEN_VERSION:
        note_text(out->xen_version, sizeof(out->xen_version), desc, size);
        break;
    case XEN_ELFNOTE_GUEST_OS:
        note_text(out->guest_os, sizeof(out->guest_os), desc, size);
        break;
    case XEN_ELFNOTE_GUEST_VERSION:
        note_text(out->guest_version, sizeof(out->guest_version), desc, size);
        break;
    case XEN_ELFNOTE_LOADER:
        note_text(out->loader, sizeof(out->loader), desc, size);
        break;
    case XEN_ELFNOTE_FEATURES:
        return note_features(r, (const char *)desc, str_nlen((const char *)desc, size));
    case XEN_ELFNOTE_SUPPORTED_FEATURES:
        ok = note_number(desc, size, &bits);
        out->features |= bits;
        break;
    case XEN_ELFNOTE_L1_MFN_VALID:
        ok = note_l1_valid(out, desc, size);
        break;
    case XEN_ELFNOTE_SUSPEND_CANCEL:
        ok = note_flag(desc, size, &out->suspend_cancel);
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        ok = note_flag(desc, size, &out->mod_start_pfn);
        break;
    case XEN_ELFNOTE_PHYS32_ENTRY:
        r->has_phys32 = true;
        break;
    default: /* PAE_MODE and BSD_SYMTAB say nothing to a 64-bit domain; numbers of later ABIs are
                optional by design */
        ok = note_address(r, type, desc, size);
        break;
    }
    return ok ? ELF_ERR_NONE : ELF_ERR_NOTE_VALUE;
}

/* Read the notes in `size` bytes at `offset`, which lie inside the file. */
static int read_notes(struct reader *r, uint64_t offset, uint64_t size)
{
    const unsigned char *at = r->file + offset;
    struct elf_note note;
    int rc;

    while (size >= sizeof(note)) {
        uint64_t name_size;
        uint64_t desc_size;

        memcpy(&note, at, sizeof(note));
        at += sizeof(note);
        size -= sizeof(note);
        name_size = ((uint64_t)note.namesz + 3) & ~UINT64_C(3);
        desc_size = ((uint64_t)note.descsz + 3) & ~UINT64_C(3);
        if (name_size > size || note.descsz > size - name_size) {
            return ELF_ERR_NOTE;
        }
        if (note.namesz == sizeof("Xen") && memcmp(at, "Xen", sizeof("Xen")) == 0) {
            rc = note_xen(r, note.type, at + name_size, note.descsz);
            if (rc != ELF_ERR_NONE) {
                return rc;
            }
        }
        desc_size = desc_size < size - name_size ? desc_size : size - name_size;
        at += name_size + desc_size;
        size -= name_size + desc_size;
    }
    return ELF_ERR_NONE;
}

static int read_all_notes(struct reader *r)
{
    struct elf_segment ph;
    struct elf_section sh;
    int rc;

    for (unsigned int i = 0; i < r->header.phnum; i++) {
        if (!read_segment(r, i, &ph)) {
            return ELF_ERR_PHDR;
        }
        if (ph.type != PT_NOTE) {
            continue;
        }
        if (ph.offset > r->size || ph.filesz > r->size - ph.offset) {
            return ELF_ERR_NOTE;
        }
        rc = read_notes(r, ph.offset, ph.filesz);
        if (rc != ELF_ERR_NONE) {
            return rc;
        }
    }
    if (r->has_xen || r->header.shentsize != sizeof(sh) || r->header.shnum > SHDRS_MAX) {
        return ELF_ERR_NONE;
    }
    for (unsigned int i = 0; i < r->header.shnum; i++) {
        if (r->header.shoff > r->size ||
            !fetch(r, r->header.shoff + (uint64_t)i * sizeof(sh), &sh, sizeof(sh))) {
            return ELF_ERR_NONE; /* sections are optional: without usable ones there are no more
                                    notes */
        }
        if (sh.type == SHT_NOTE && sh.offset <= r->size && sh.size <= r->size - sh.offset) {
            rc = read_notes(r, sh.offset, sh.size);
            if (rc != ELF_ERR_NONE) {
                return rc;
            }
        }
    }
    return ELF_ERR_NONE;
}

/* Does a section called __xen_guest exist (the form before notes)? */
static bool has_legacy_section(const struct reader *r)
{
    struct elf_section names;
    struct elf_section sh;
    char name[sizeof("__xen_guest")];
    uint64_t shoff = r->header.shoff;

    if (r->header.shentsize != sizeof(sh) || r->header.shnum > SHDRS_MAX || shoff > r->size ||
        !fetch(r, shoff + (uint64_t)r->header.shstrndx * sizeof(sh), &names, sizeof(names)) ||
        names.offset > r->size) {
        return false;
    }
    for (unsigned int i = 0; i < r->header.shnum; i++) {
        if (!fetch(r, shoff + (uint64_t)i * sizeof(sh), &sh, sizeof(sh))) {
            return false;
        }
        if (fetch(r, names.offset + sh.name, name, sizeof(name)) &&
            memcmp(name, "__xen_guest", sizeof(name)) == 0) {
            return true;
        }
    }
    return false;
}

/* Canonical, not wrapping, and clear of the hypervisor's hole. */
static bool address_ok(uint64_t start, uint64_t end)
{
    uint64_t top = start >> 47;

    return end > start && (top == 0 || top == 0x1ffff) && (end - 1) >> 47 == top &&
           (end <= HYPERVISOR_VIRT_START || start >= HYPERVISOR_VIRT_END);
}

static int add_segment(struct reader *r, const struct elf_segment *ph)
{
    struct image_info *out = r->out;
    struct image_segment *s;
    uint64_t va = ph->paddr - out->paddr_offset + out->virt_base;

    if (ph->offset > r->size || ph->filesz > r->size - ph->offset || ph->filesz > ph->memsz) {
        return ELF_ERR_SEGMENT;
    }
    if (out->segment_count == IMAGE_SEGMENTS_MAX) {
        return ELF_ERR_SEGMENT_COUNT;
    }
    if (ph->paddr < out->paddr_offset || ph->memsz > SIZE_MAX_SANE || va < out->virt_base ||
        !address_ok(va, va + ph->memsz)) {
        return ELF_ERR_ADDRESS;
    }
    for (unsigned int i = 0; i < out->segment_count; i++) {
        const struct image_segment *other = &out->segments[i];

        if (va < other->va + other->mem_size && other->va < va + ph->memsz) {
            return ELF_ERR_OVERLAP;
        }
    }
    s = &out->segments[out->segment_count++];
    *s = (struct image_segment){
        .va = va, .file_offset = ph->offset, .file_size = ph->filesz, .mem_size = ph->memsz
    };
    out->virt_start = va < out->virt_start ? va : out->virt_start;
    out->virt_end = va + ph->memsz > out->virt_end ? va + ph->memsz : out->virt_end;
    return ELF_ERR_NONE;
}

static int read_segments(struct reader *r)
{
    struct elf_segment ph;
    int rc;

    r->out->virt_start = UINT64_MAX;
    for (unsigned int i = 0; i < r->header.phnum; i++) {
        if (!read_segment(r, i, &ph)) {
            return ELF_ERR_PHDR;
        }
        if (ph.type == PT_LOAD && ph.memsz > 0) {
            rc = add_segment(r, &ph);
            if (rc != ELF_ERR_NONE) {
                return rc;
            }
        }
    }
    return r->out->segment_count > 0 ? ELF_ERR_NONE : ELF_ERR_SEGMENT_COUNT;
}

/* What the notes say must agree with what is loaded. */
static int check_image(const struct reader *r)
{
    const struct image_info *out = r->out;

    if (out->entry < out->virt_start || out->entry >= out->virt_end) {
        return ELF_ERR_ENTRY;
    }
    if (out->hypercall_page != IMAGE_NONE &&
        (out->hypercall_page % 4096 != 0 || out->hypercall_page < out->virt_start ||
         out->virt_end < 4096 || out->hypercall_page > out->virt_end - 4096)) {
        return ELF_ERR_HYPERCALL;
    }
    if (out->virt_end - out->virt_base > SIZE_MAX_SANE ||
        !address_ok(out->virt_base, out->virt_end)) {
        return ELF_ERR_ADDRESS;
    }
    return (out->features_required & ~FEATURES_OFFERED) != 0 ? ELF_ERR_FEATURE : ELF_ERR_NONE;
}

/*
 * Read a PV kernel's ELF file of `size` bytes. Returns 0, or an enum elf_error with *out of no
 * meaning. A FEATURES note that *requires* what no PV domain of ours has is refused here; what it
 * only supports is recorded.
 */
int elf_parse(const void *file, size_t size, struct image_info *out)
{
    struct reader r = { .file = file, .size = size, .out = out };
    int rc = read_header(&r);

    if (rc != ELF_ERR_NONE) {
        return rc;
    }
    memset(out, 0, sizeof(*out));
    out->entry = r.header.entry;
    out->hypercall_page = IMAGE_NONE;
    out->init_p2m = IMAGE_NONE;
    out->hv_start_low = IMAGE_NONE;
    rc = read_all_notes(&r);
    if (rc != ELF_ERR_NONE) {
        return rc;
    }
    if (!r.has_xen) {
        return has_legacy_section(&r) ? ELF_ERR_LEGACY : ELF_ERR_NO_XEN;
    }
    if (!r.has_entry && r.has_phys32) {
        return ELF_ERR_NOT_PV;
    }
    if (out->xen_version[0] != '\0' && !str_eq(out->xen_version, "xen-3.0")) {
        return ELF_ERR_XEN_VERSION;
    }
    rc = read_segments(&r);
    return rc != ELF_ERR_NONE ? rc : check_image(&r);
}

/* The words for an enum elf_error, to stand behind a file's name. */
const char *elf_strerror(int rc)
{
    static const char *const words[] = {
        [-ELF_ERR_NONE] = "no error",
        [-ELF_ERR_SHORT] = "too short for an ELF file",
        [-ELF_ERR_MAGIC] = "not an ELF file",
        [-ELF_ERR_CLASS] = "not a 64-bit little-endian ELF file",
        [-ELF_ERR_TYPE] = "not an executable ELF file",
        [-ELF_ERR_MACHINE] = "for another kind of processor",
        [-ELF_ERR_PHDR] = "program headers are damaged",
        [-ELF_ERR_SEGMENT] = "a segment reaches beyond the end of the file",
        [-ELF_ERR_SEGMENT_COUNT] = "has no loadable segment or too many",
        [-ELF_ERR_OVERLAP] = "segments overlap",
        [-ELF_ERR_ADDRESS] = "wants impossible addresses",
        [-ELF_ERR_NOTE] = "a note is damaged",
        [-ELF_ERR_NO_XEN] = "has no Xen notes: not a PV kernel",
        [-ELF_ERR_LEGACY] = "has only a __xen_guest section: a kernel too old to run",
        [-ELF_ERR_XEN_VERSION] = "is not made for the xen-3.0 interface",
        [-ELF_ERR_NOT_PV] = "has Xen notes but no PV entry: a PVH-only kernel",
        [-ELF_ERR_FEATURE] = "requires a feature that is not offered",
        [-ELF_ERR_NOTE_VALUE] = "a Xen note has an impossible value",
        [-ELF_ERR_ENTRY] = "entry point lies outside the image",
        [-ELF_ERR_HYPERCALL] = "hypercall page lies outside the image",
    };

    if (rc > 0 || rc <= -(int)(sizeof(words) / sizeof(words[0]))) {
        return "unknown error";
    }
    return words[-rc];
}
