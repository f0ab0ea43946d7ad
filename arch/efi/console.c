/* SPDX-License-Identifier: MIT */
/* Messages on the firmware's console, one line each. */

#include "arch/efi/loader.h"

#define LINE_SIZE 320

static void emit(const char *prefix, const char *format, va_list args)
{
    char line[LINE_SIZE];
    CHAR16 wide[LINE_SIZE +
                2]; /* the end of the line and the final zero take 3, of which `line` has 1 */
    size_t used = fmt_snprintf(line, sizeof(line), "%s", prefix);
    size_t n = 0;

    fmt_vsnprintf(line + used, sizeof(line) - used, format, args);
    while (line[n] != '\0') {
        wide[n] =
            (unsigned char)line[n] >= ' ' && (unsigned char)line[n] < 127 ? (CHAR16)line[n] : L'?';
        n++;
    }
    wide[n] = L'\r';
    wide[n + 1] = L'\n';
    wide[n + 2] = 0;
    efi_st->ConOut->OutputString(efi_st->ConOut, wide);
}

/* A line of information. */
void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    emit("joist.efi: ", format, args);
    va_end(args);
}

/* Something odd that does not stop the boot. */
void warn(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    emit("joist.efi: warning: ", format, args);
    va_end(args);
}

/* Say why the boot stops. Always returns false, for `return fail(...)`. */
bool fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    emit("joist.efi: error: ", format, args);
    va_end(args);
    return false;
}

/* The words for what the firmware answered. */
const char *efi_words(EFI_STATUS status)
{
    static const struct {
        EFI_STATUS status;
        const char *words;
    } table[] = {
        { EFI_NOT_FOUND, "not found" },
        { EFI_NO_MEDIA, "no medium in the drive" },
        { EFI_MEDIA_CHANGED, "the medium was changed" },
        { EFI_DEVICE_ERROR, "device error" },
        { EFI_VOLUME_CORRUPTED, "the file system is damaged" },
        { EFI_ACCESS_DENIED, "access denied" },
        { EFI_OUT_OF_RESOURCES, "out of memory" },
        { EFI_INVALID_PARAMETER, "invalid parameter" },
        { EFI_UNSUPPORTED, "not supported" },
        { EFI_BUFFER_TOO_SMALL, "buffer too small" },
        { EFI_SECURITY_VIOLATION, "security violation" },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status == status) {
            return table[i].words;
        }
    }
    return "firmware error";
}
