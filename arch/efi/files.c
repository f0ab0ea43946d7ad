/* SPDX-License-Identifier: MIT */
/* Memory from the firmware, and files from the partition that joist.efi was started from. */

#include "arch/efi/loader.h"

#include "lib/str.h"

#define MAP_SLACK 4096 /* the map may grow between asking for its size and taking it */

static EFI_GUID fs_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
static EFI_GUID file_info_guid = EFI_FILE_INFO_ID;

/* Pages for `size` bytes, below 4 GiB if possible. `what` names the use in the error. */
bool pages_alloc(struct blob *blob, uint64_t size, const char *what)
{
    EFI_PHYSICAL_ADDRESS address = LOW_LIMIT - 1;
    uint64_t pages = (size + PAGE_SIZE - 1) / PAGE_SIZE;
    EFI_STATUS status;

    status = efi_bs->AllocatePages(AllocateMaxAddress, EfiLoaderData, pages, &address);
    if (status != EFI_SUCCESS) {
        status = efi_bs->AllocatePages(AllocateAnyPages, EfiLoaderData, pages, &address);
    }
    if (status != EFI_SUCCESS) {
        return fail("%s: %llu MiB do not fit the memory (%llu MiB free)", what,
                    (unsigned long long)(size >> 20), (unsigned long long)(memory_free() >> 20));
    }
    *blob = (struct blob){ .data = (uint8_t *)address, .size = size, .pages = pages };
    return true;
}

/* As pages_alloc(), with the start a multiple of `align` (a power of two, at least a page). */
bool pages_alloc_aligned(struct blob *blob, uint64_t size, uint64_t align, const char *what)
{
    uint64_t whole = (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    uint64_t begin;
    uint64_t start;
    uint64_t end;

    if (!pages_alloc(blob, whole + align, what)) {
        return false;
    }
    begin = (uint64_t)blob->data;
    end = begin + blob->pages * PAGE_SIZE;
    start = (begin + align - 1) & ~(align - 1);
    if (start > begin) {
        efi_bs->FreePages(begin, (start - begin) / PAGE_SIZE);
    }
    if (end > start + whole) {
        efi_bs->FreePages(start + whole, (end - start - whole) / PAGE_SIZE);
    }
    *blob = (struct blob){ .data = (uint8_t *)start, .size = size, .pages = whole / PAGE_SIZE };
    return true;
}

/* Give the pages back, if there are any. */
void pages_free(struct blob *blob)
{
    if (blob->pages > 0) {
        efi_bs->FreePages((EFI_PHYSICAL_ADDRESS)blob->data, blob->pages);
    }
    *blob = (struct blob){ .data = NULL, .size = 0, .pages = 0 };
}

/* Give back the pages behind the last byte in use. */
void pages_trim(struct blob *blob)
{
    uint64_t needed = (blob->size + PAGE_SIZE - 1) / PAGE_SIZE;

    if (blob->pages > needed) {
        efi_bs->FreePages((EFI_PHYSICAL_ADDRESS)blob->data + needed * PAGE_SIZE,
                          blob->pages - needed);
        blob->pages = needed;
    }
}

/* Bytes that the firmware has free at this moment. */
uint64_t memory_free(void)
{
    UINTN size = 0;
    UINTN key;
    UINTN entry_size = 0;
    UINT32 version;
    uint64_t sum = 0;
    void *map;

    efi_bs->GetMemoryMap(&size, NULL, &key, &entry_size, &version);
    size += MAP_SLACK;
    if (efi_bs->AllocatePool(EfiLoaderData, size, &map) != EFI_SUCCESS) {
        return 0;
    }
    if (efi_bs->GetMemoryMap(&size, map, &key, &entry_size, &version) == EFI_SUCCESS) {
        for (UINTN at = 0; at + entry_size <= size; at += entry_size) {
            const EFI_MEMORY_DESCRIPTOR *e = (const void *)((const uint8_t *)map + at);

            sum += e->Type == EfiConventionalMemory ? e->NumberOfPages * PAGE_SIZE : 0;
        }
    }
    efi_bs->FreePool(map);
    return sum;
}

/* Path of this program from its device path: the file path nodes joined. Cut to fit. */
static void own_path(const EFI_DEVICE_PATH *node, char *path, size_t size)
{
    size_t n = 0;

    while (node != NULL && node->Type != END_DEVICE_PATH_TYPE) {
        size_t len = (size_t)node->Length[0] | (size_t)node->Length[1] << 8;
        const uint8_t *text = (const uint8_t *)node + sizeof(*node);

        if (len < sizeof(*node)) {
            break;
        }
        if (node->Type == MEDIA_DEVICE_PATH && node->SubType == MEDIA_FILEPATH_DP) {
            if (n > 0 && path[n - 1] != '\\' && n + 1 < size) {
                path[n++] = '\\';
            }
            for (size_t i = sizeof(*node); i + 1 < len && n + 1 < size; i += 2, text += 2) {
                if (text[0] == 0 && text[1] == 0) {
                    break;
                }
                path[n++] = text[1] == 0 ? (char)text[0] : '?';
            }
        }
        node = (const void *)((const uint8_t *)node + len);
    }
    path[n] = '\0';
}

static bool file_open(EFI_FILE_HANDLE dir, const char *name, EFI_FILE_HANDLE *out,
                      EFI_STATUS *status)
{
    CHAR16 wide[NAME_MAX_LEN + 1];
    size_t n = 0;

    while (name[n] != '\0' && n < NAME_MAX_LEN) {
        wide[n] = name[n] == '/' ? L'\\' : (CHAR16)(unsigned char)name[n];
        n++;
    }
    wide[n] = 0;
    *status = dir->Open(dir, out, wide, EFI_FILE_MODE_READ, 0);
    return *status == EFI_SUCCESS;
}

/* Open the directory that joist.efi lies in; its file name goes to own_name. */
bool dir_open(struct loader *l, char *own_name, size_t size)
{
    EFI_FILE_IO_INTERFACE *fs;
    EFI_FILE_HANDLE root;
    EFI_STATUS status;
    char path[NAME_MAX_LEN];
    size_t cut = 0;

    if (efi_bs->HandleProtocol(l->loaded->DeviceHandle, &fs_guid, (void **)&fs) != EFI_SUCCESS) {
        return fail("the device that this program was started from has no file system");
    }
    status = fs->OpenVolume(fs, &root);
    if (status != EFI_SUCCESS) {
        return fail("cannot open the EFI partition: %s", efi_words(status));
    }
    own_path(l->loaded->FilePath, path, sizeof(path));
    for (size_t i = 0; path[i] != '\0'; i++) {
        if (path[i] == '\\' || path[i] == '/') {
            cut = i + 1;
        }
    }
    str_copy(own_name, size, path + cut);
    path[cut] = '\0';
    if (cut < 2) {
        l->dir = root;
        return true;
    }
    path[cut - 1] = '\0';
    if (!file_open(root, path, &l->dir, &status)) {
        return fail("cannot open the directory %s: %s", path, efi_words(status));
    }
    root->Close(root);
    return true;
}

/* True if a file of that name can be opened. */
bool file_exists(const struct loader *l, const char *name)
{
    EFI_FILE_HANDLE file;
    EFI_STATUS status;

    if (!file_open(l->dir, name, &file, &status)) {
        return false;
    }
    file->Close(file);
    return true;
}

static bool file_size(EFI_FILE_HANDLE file, uint64_t *size, bool *is_dir)
{
    union {
        EFI_FILE_INFO info;
        uint8_t room[sizeof(EFI_FILE_INFO) + 2 * (NAME_MAX_LEN + 1)];
    } u;
    UINTN n = sizeof(u);

    if (file->GetInfo(file, &file_info_guid, &n, &u) != EFI_SUCCESS) {
        return false;
    }
    *size = u.info.FileSize;
    *is_dir = (u.info.Attribute & EFI_FILE_DIRECTORY) != 0;
    return true;
}

/* Read a whole file, in one piece: firmware is slow per request, not per byte. `what` is for the
 * errors. */
bool file_read(const struct loader *l, const char *name, const char *what, struct blob *out)
{
    EFI_FILE_HANDLE file;
    EFI_STATUS status;
    uint64_t size = 0;
    uint64_t done = 0;
    bool is_dir = false;
    char label[NAME_MAX_LEN + 32];

    fmt_snprintf(label, sizeof(label), "%s %s", what, name);
    if (!file_open(l->dir, name, &file, &status)) {
        return fail("%s: %s", label, efi_words(status));
    }
    if (!file_size(file, &size, &is_dir) || is_dir) {
        file->Close(file);
        return fail("%s: %s", label,
                    is_dir ? "is a directory" : "the firmware does not tell its size");
    }
    if (!pages_alloc(out, size > 0 ? size : 1, label)) {
        file->Close(file);
        return false;
    }
    out->size = size;
    while (done < size) {
        UINTN n = size - done;

        status = file->Read(file, &n, out->data + done);
        if (status != EFI_SUCCESS || n == 0) {
            file->Close(file);
            pages_free(out);
            return fail("%s: read error at byte %llu: %s", label, (unsigned long long)done,
                        n == 0 ? "file ends early" : efi_words(status));
        }
        done += n;
    }
    file->Close(file);
    return true;
}
