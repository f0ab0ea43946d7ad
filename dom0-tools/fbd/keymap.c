/* SPDX-License-Identifier: MIT */
/*
 * X keysyms to Linux key codes, for a US keyboard.
 *
 * A viewer sends Shift as a key of its own, so both characters of a key lead to the same code.
 * Facts: keysym numbers of X11's keysymdef.h, key codes of linux/input-event-codes.h.
 */

#include <linux/input-event-codes.h>
#include <stddef.h>

#include "fbd/guestkbd.h"

/* From ' ' to '~'. */
static const uint8_t ascii[95] = {
    KEY_SPACE,     KEY_1,          KEY_APOSTROPHE, KEY_3,          KEY_4,     KEY_5,
    KEY_7,         KEY_APOSTROPHE, KEY_9,          KEY_0,          KEY_8,     KEY_EQUAL,
    KEY_COMMA,     KEY_MINUS,      KEY_DOT,        KEY_SLASH,      KEY_0,     KEY_1,
    KEY_2,         KEY_3,          KEY_4,          KEY_5,          KEY_6,     KEY_7,
    KEY_8,         KEY_9,          KEY_SEMICOLON,  KEY_SEMICOLON,  KEY_COMMA, KEY_EQUAL,
    KEY_DOT,       KEY_SLASH,      KEY_2,          KEY_A,          KEY_B,     KEY_C,
    KEY_D,         KEY_E,          KEY_F,          KEY_G,          KEY_H,     KEY_I,
    KEY_J,         KEY_K,          KEY_L,          KEY_M,          KEY_N,     KEY_O,
    KEY_P,         KEY_Q,          KEY_R,          KEY_S,          KEY_T,     KEY_U,
    KEY_V,         KEY_W,          KEY_X,          KEY_Y,          KEY_Z,     KEY_LEFTBRACE,
    KEY_BACKSLASH, KEY_RIGHTBRACE, KEY_6,          KEY_MINUS,      KEY_GRAVE, KEY_A,
    KEY_B,         KEY_C,          KEY_D,          KEY_E,          KEY_F,     KEY_G,
    KEY_H,         KEY_I,          KEY_J,          KEY_K,          KEY_L,     KEY_M,
    KEY_N,         KEY_O,          KEY_P,          KEY_Q,          KEY_R,     KEY_S,
    KEY_T,         KEY_U,          KEY_V,          KEY_W,          KEY_X,     KEY_Y,
    KEY_Z,         KEY_LEFTBRACE,  KEY_BACKSLASH,  KEY_RIGHTBRACE, KEY_GRAVE,
};

static const struct {
    uint32_t first; /* keysym */
    uint32_t last;
    uint16_t code; /* of the first; the others follow */
} ranges[] = {
    { 0xff08, 0xff08, KEY_BACKSPACE },  { 0xff09, 0xff09, KEY_TAB },
    { 0xfe20, 0xfe20, KEY_TAB }, /* with Shift */
    { 0xff0a, 0xff0a, KEY_LINEFEED },   { 0xff0d, 0xff0d, KEY_ENTER },
    { 0xff13, 0xff13, KEY_PAUSE },      { 0xff14, 0xff14, KEY_SCROLLLOCK },
    { 0xff15, 0xff15, KEY_SYSRQ },      { 0xff1b, 0xff1b, KEY_ESC },
    { 0xff50, 0xff50, KEY_HOME },       { 0xff51, 0xff51, KEY_LEFT },
    { 0xff52, 0xff52, KEY_UP },         { 0xff53, 0xff53, KEY_RIGHT },
    { 0xff54, 0xff54, KEY_DOWN },       { 0xff55, 0xff55, KEY_PAGEUP },
    { 0xff56, 0xff56, KEY_PAGEDOWN },   { 0xff57, 0xff57, KEY_END },
    { 0xff61, 0xff61, KEY_SYSRQ },                                       /* Print */
    { 0xff63, 0xff63, KEY_INSERT },     { 0xff67, 0xff67, KEY_COMPOSE }, /* Menu */
    { 0xff7f, 0xff7f, KEY_NUMLOCK },    { 0xff8d, 0xff8d, KEY_KPENTER },
    { 0xff95, 0xff95, KEY_KP7 }, /* the keypad without NumLock */
    { 0xff96, 0xff96, KEY_KP4 },        { 0xff97, 0xff97, KEY_KP8 },
    { 0xff98, 0xff98, KEY_KP6 },        { 0xff99, 0xff99, KEY_KP2 },
    { 0xff9a, 0xff9a, KEY_KP9 },        { 0xff9b, 0xff9b, KEY_KP3 },
    { 0xff9c, 0xff9c, KEY_KP1 },        { 0xff9d, 0xff9d, KEY_KP5 },
    { 0xff9e, 0xff9e, KEY_KP0 },        { 0xff9f, 0xff9f, KEY_KPDOT },
    { 0xffaa, 0xffaa, KEY_KPASTERISK }, { 0xffab, 0xffab, KEY_KPPLUS },
    { 0xffad, 0xffad, KEY_KPMINUS },    { 0xffae, 0xffae, KEY_KPDOT },
    { 0xffaf, 0xffaf, KEY_KPSLASH },    { 0xffb0, 0xffb0, KEY_KP0 },
    { 0xffb1, 0xffb3, KEY_KP1 },        { 0xffb4, 0xffb6, KEY_KP4 },
    { 0xffb7, 0xffb9, KEY_KP7 },        { 0xffbe, 0xffc7, KEY_F1 },
    { 0xffc8, 0xffc9, KEY_F11 },        { 0xffe1, 0xffe1, KEY_LEFTSHIFT },
    { 0xffe2, 0xffe2, KEY_RIGHTSHIFT }, { 0xffe3, 0xffe3, KEY_LEFTCTRL },
    { 0xffe4, 0xffe4, KEY_RIGHTCTRL },  { 0xffe5, 0xffe5, KEY_CAPSLOCK },
    { 0xffe7, 0xffe7, KEY_LEFTMETA },   { 0xffe8, 0xffe8, KEY_RIGHTMETA },
    { 0xffe9, 0xffe9, KEY_LEFTALT },    { 0xffea, 0xffea, KEY_RIGHTALT },
    { 0xfe03, 0xfe03, KEY_RIGHTALT }, /* AltGr */
    { 0xffeb, 0xffeb, KEY_LEFTMETA }, /* Super */
    { 0xffec, 0xffec, KEY_RIGHTMETA },  { 0xffff, 0xffff, KEY_DELETE },
};

uint32_t keymap_code(uint32_t keysym)
{
    if (keysym >= ' ' && keysym <= '~') {
        return ascii[keysym - ' '];
    }
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (keysym >= ranges[i].first && keysym <= ranges[i].last) {
            return ranges[i].code + (keysym - ranges[i].first);
        }
    }
    return 0;
}
