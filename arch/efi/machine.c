/* SPDX-License-Identifier: MIT */
/* What the firmware knows about the machine, into struct boot_info; and leaving the firmware. */

#include "arch/efi/loader.h"

#include "arch/efi/memmap.h"
#include "lib/mem.h"

#define MAP_SIZE   (UINT64_C(64) << 10)
#define EXIT_TRIES 4

static EFI_GUID gop_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
static EFI_GUID global_guid = EFI_GLOBAL_VARIABLE;
static EFI_GUID acpi1_guid = ACPI_TABLE_GUID;
static EFI_GUID acpi2_guid = ACPI_20_TABLE_GUID;
static EFI_GUID smbios_guid = SMBIOS_TABLE_GUID;
static EFI_GUID smbios3_guid = SMBIOS3_TABLE_GUID;

static bool guid_eq(const EFI_GUID *a, const EFI_GUID *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static void collect_tables(struct boot_info *bi)
{
    uint64_t acpi1 = 0;

    for (UINTN i = 0; i < efi_st->NumberOfTableEntries; i++) {
        const EFI_CONFIGURATION_TABLE *t = &efi_st->ConfigurationTable[i];
        uint64_t address = (uint64_t)t->VendorTable;

        if (guid_eq(&t->VendorGuid, &acpi2_guid)) {
            bi->rsdp = address;
        } else if (guid_eq(&t->VendorGuid, &acpi1_guid)) {
            acpi1 = address;
        } else if (guid_eq(&t->VendorGuid, &smbios_guid)) {
            bi->smbios = address;
        } else if (guid_eq(&t->VendorGuid, &smbios3_guid)) {
            bi->smbios3 = address;
        }
    }
    bi->rsdp = bi->rsdp != 0 ? bi->rsdp : acpi1;
}

/* Position and width of a mask of adjacent bits. */
static void mask_bits(uint32_t mask, uint8_t *pos, uint8_t *size)
{
    *pos = 0;
    *size = 0;
    if (mask != 0) {
        *pos = (uint8_t)__builtin_ctz(mask);
        *size = (uint8_t)(32 - __builtin_clz(mask) - *pos);
    }
}

static void collect_framebuffer(struct boot_fb *fb)
{
    EFI_GRAPHICS_OUTPUT_PROTOCOL *gop = NULL;
    const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info;
    EFI_PIXEL_BITMASK masks = {
        .RedMask = 0xff, .GreenMask = 0xff00, .BlueMask = 0xff0000, .ReservedMask = 0xff000000
    };

    if (efi_st->ConsoleOutHandle == NULL ||
        efi_bs->HandleProtocol(efi_st->ConsoleOutHandle, &gop_guid, (void **)&gop) != EFI_SUCCESS) {
        if (efi_bs->LocateProtocol(&gop_guid, NULL, (void **)&gop) != EFI_SUCCESS) {
            return;
        }
    }
    if (gop->Mode == NULL || gop->Mode->Info == NULL) {
        return;
    }
    info = gop->Mode->Info;
    switch (info->PixelFormat) {
    case PixelRedGreenBlueReserved8BitPerColor:
        break;
    case PixelBlueGreenRedReserved8BitPerColor:
        masks.RedMask = 0xff0000;
        masks.BlueMask = 0xff;
        break;
    case PixelBitMask:
        masks = info->PixelInformation;
        break;
    default: /* no linear framebuffer */
        return;
    }
    fb->base = gop->Mode->FrameBufferBase;
    fb->size = gop->Mode->FrameBufferSize;
    fb->width = info->HorizontalResolution;
    fb->height = info->VerticalResolution;
    mask_bits(masks.RedMask, &fb->red_pos, &fb->red_size);
    mask_bits(masks.GreenMask, &fb->green_pos, &fb->green_size);
    mask_bits(masks.BlueMask, &fb->blue_pos, &fb->blue_size);
    mask_bits(masks.ReservedMask, &fb->rsvd_pos, &fb->rsvd_size);
    fb->bpp = (uint8_t)(fb->red_size + fb->green_size + fb->blue_size + fb->rsvd_size);
    fb->pitch = info->PixelsPerScanLine * ((fb->bpp + 7u) / 8u);
}

/* Fill in everything but the memory ranges. */
void machine_collect(struct loader *l)
{
    struct boot_info *bi = l->bi;
    UINT8 secure = 0;
    UINTN size = sizeof(secure);

    collect_tables(bi);
    collect_framebuffer(&bi->fb);
    bi->efi_system_table = (uint64_t)efi_st;
    bi->efi_runtime = (uint64_t)efi_st->RuntimeServices;
    bi->efi_config_table = (uint64_t)efi_st->ConfigurationTable;
    bi->efi_config_count = (uint32_t)efi_st->NumberOfTableEntries;
    bi->efi_version = efi_st->Hdr.Revision;
    bi->efi_fw_vendor = (uint64_t)efi_st->FirmwareVendor;
    bi->efi_fw_revision = efi_st->FirmwareRevision;
    if (efi_st->RuntimeServices->GetVariable(
            (CHAR16[]){ 'S', 'e', 'c', 'u', 'r', 'e', 'B', 'o', 'o', 't', 0 }, &global_guid, NULL,
            &size, &secure) == EFI_SUCCESS) {
        bi->secure_boot = secure == 1 ? 2 : 1;
    }
}

static bool carve(struct loader *l, const struct blob *blob, uint32_t type)
{
    struct memmap_piece piece = { .start = (uint64_t)blob->data, .type = type };

    piece.end = piece.start + blob->pages * PAGE_SIZE;
    return blob->pages == 0 || memmap_carve(l->bi, &piece);
}

static bool convert(struct loader *l, const void *map, UINTN size, UINTN entry_size)
{
    return memmap_convert(map, size, entry_size, l->bi) && carve(l, &l->hypervisor, BOOT_IMAGE) &&
           carve(l, &l->boot, BOOT_LOADER) && carve(l, &l->kernel, BOOT_MODULE) &&
           carve(l, &l->ramdisk, BOOT_MODULE);
}

static EFI_STATUS take_map(struct blob *map, UINTN *size, UINTN *key, UINTN *entry_size)
{
    UINT32 version;

    *size = map->size;
    return efi_bs->GetMemoryMap(size, (void *)map->data, key, entry_size, &version);
}

/* Bytes of memory that the hypervisor will find usable, modules included. */
bool machine_memory(struct loader *l, uint64_t *usable)
{
    struct blob map;
    UINTN size;
    UINTN key;
    UINTN entry_size;
    bool ok;

    if (!pages_alloc(&map, MAP_SIZE, "memory map")) {
        return false;
    }
    ok = take_map(&map, &size, &key, &entry_size) == EFI_SUCCESS &&
         memmap_convert(map.data, size, entry_size, l->bi);
    pages_free(&map);
    if (!ok) {
        return fail("the firmware's memory map cannot be used");
    }
    *usable = memmap_usable(l->bi);
    return true;
}

/*
 * Leave the firmware with the final memory map in bi->ranges. Once ExitBootServices() has been
 * tried no message is possible, so the map is converted before each try. The room for the map is
 * never given back: it is ordinary usable memory afterwards.
 */
bool machine_leave(struct loader *l)
{
    struct blob map;
    UINTN size;
    UINTN key;
    UINTN entry_size;

    if (!pages_alloc(&map, MAP_SIZE, "memory map")) {
        return false;
    }
    for (unsigned int i = 0; i < EXIT_TRIES; i++) {
        if (take_map(&map, &size, &key, &entry_size) != EFI_SUCCESS ||
            !convert(l, map.data, size, entry_size)) {
            pages_free(&map);
            return fail("the firmware's memory map cannot be used");
        }
        if (efi_bs->ExitBootServices(l->image, key) == EFI_SUCCESS) {
            return true;
        }
    }
    return fail("the firmware does not let go (ExitBootServices)");
}
