/* pool/alive.h - which instances there are: what was given to one counts while it lives, and not a
 * moment longer. Any thread. */
#pragma once

#include "core/base.h"

enum { HD_ALIVE_ID_CHARS = 16, HD_ALIVE_NAME_MAX = 140 };

struct hd_alive;

struct hd_alive *hd_alive_new(void);
void hd_alive_free(struct hd_alive *a); /* NULL is fine */

/** Draw an id that nobody can guess: HD_ALIVE_ID_CHARS of A-Z2-7. */
void hd_alive_draw(char id[HD_ALIVE_ID_CHARS + 1]);
/**
 * An instance begins. @param a  NULL: nobody asks.
 * @param function  its name; cut where it is longer than HD_ALIVE_NAME_MAX.
 * @param role      name of the role it has; NULL: "function".
 */
void hd_alive_begin(struct hd_alive *a, const char *id, const char *function, const char *role);
/** It is gone; unknown ids are fine. */
void hd_alive_end(struct hd_alive *a, const char *id);
/** @return whether that instance lives. */
bool hd_alive_is(struct hd_alive *a, struct hd_str id);
/** Whose it is. */
struct hd_alive_who {
    char function[HD_ALIVE_NAME_MAX + 1], role[HD_ALIVE_NAME_MAX + 1];
};
/** @return whether it lives; then *out. */
bool hd_alive_find(struct hd_alive *a, struct hd_alive_who *out, struct hd_str id);
