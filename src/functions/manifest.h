/* functions/manifest.h - what a manifest may say: one table of keys that parses, validates,
 * documents and explains; and the readers of heddle.json and 1tube.json. */
#pragma once

#include "core/buf.h"
#include "functions/function.h"

enum hd_key {
    HD_KEY_RUNTIME,
    HD_KEY_ENTRY,
    HD_KEY_HANDLER,
    HD_KEY_COMMAND,
    HD_KEY_HEALTH,
    HD_KEY_IMPORT_MAP,
    HD_KEY_ENABLED,
    HD_KEY_ENV,
    HD_KEY_TIMEOUT,
    HD_KEY_STREAM_IDLE,
    HD_KEY_RPM,
    HD_KEY_BURST,
    HD_KEY_MAX_BODY,
    HD_KEY_VERIFY_JWT,
    HD_KEY_REQUIRE,
    HD_KEY_CORS,
    HD_KEY_CONCURRENCY,
    HD_KEY_MIN_INSTANCES,
    HD_KEY_MAX_INSTANCES,
    HD_KEY_IDLE,
    HD_KEY_WARM,
    HD_KEY_QUEUE,
    HD_KEY_MEMORY,
    HD_KEY_CPU,
    HD_KEY_RECYCLE_REQUESTS,
    HD_KEY_RECYCLE_RSS,
    HD_KEY_ERROR_RATE,
    HD_KEY_ERROR_WINDOW,
    HD_KEY_COOLDOWN,
    HD_KEY_PROBES,
    HD_KEY_NET,
    HD_KEY_ALLOW_ENV,
    HD_KEY_READ,
    HD_KEY_WRITE,
};
enum { HD_KEY_COUNT = HD_KEY_WRITE + 1 };

enum hd_key_kind {
    HD_KIND_TEXT,
    HD_KIND_CHOICE, /* one of `choices` */
    HD_KIND_BOOL,
    HD_KIND_INT,      /* uint32_t in the settings */
    HD_KIND_RATE,     /* 0 to 1; double */
    HD_KIND_MEGABYTE, /* a number above 0, or "none"; bytes as uint64_t */
    HD_KIND_LIST,     /* strings */
    HD_KIND_WORDS,    /* strings, or one of them without the brackets */
    HD_KIND_MAP,      /* names and texts */
};

enum { HD_NOT_A_SETTING = -1 };

/** One row of the table. */
struct hd_key_spec {
    const char *group; /* "recycle", or NULL: at the top */
    const char *name;
    const char *path;  /* "recycle.maxRequests" */
    const char *alias; /* other spelling in the same group, or NULL */
    enum hd_key_kind kind;
    int64_t min, max;
    const char *fallback; /* default as text; NULL: see help */
    const char *choices;  /* "a|b", HD_KIND_CHOICE */
    int offset;           /* in struct hd_settings, or HD_NOT_A_SETTING */
    bool restarts;        /* a changed value needs a new instance */
    const char *help;
};
extern const struct hd_key_spec hd_key_specs[HD_KEY_COUNT];

/** A value that somebody gave. */
struct hd_value {
    bool given;
    unsigned line;          /* 0: unknown */
    int64_t n;              /* INT, BOOL; CHOICE: its place in `choices` */
    double number;          /* RATE; MEGABYTE: bytes, or INFINITY */
    char *text;             /* TEXT, CHOICE */
    struct hd_strings list; /* LIST, WORDS; MAP: "NAME=text" */
};

/** What one file says about one function. */
struct hd_manifest {
    struct hd_value v[HD_KEY_COUNT];
    char *file;                 /* as shown to people: "hello/heddle.json" */
    struct hd_strings warnings; /* with file, line and key */
};
void hd_manifest_init(struct hd_manifest *m, const char *file);
void hd_manifest_done(struct hd_manifest *m);

/**
 * Read a manifest's text.
 * @param m        after init; filled as far as the reading came.
 * @param lenient  the rules of 1tube.json: what is wrong is warned about and ignored, numbers are
 *                 rounded down, and rates are brought into their range.
 * @return 0; or HD_EINVAL with file, line and key: broken JSON (also when lenient: a warning then,
 *         and 0), an unknown or doubled key, a wrong type, a value out of range.
 */
int hd_manifest_parse(struct hd_manifest *m, struct hd_str text, bool lenient,
                      struct hd_error *err);
/**
 * Set one value from text that is already known to be of the right type; for other file formats.
 * @return 0, or HD_EINVAL: out of range, not a choice.
 */
int hd_manifest_set(struct hd_manifest *m, enum hd_key key, struct hd_str text, unsigned line,
                    struct hd_error *err);
/** Append the reference of all keys as a Markdown table. */
void hd_manifest_reference_md(struct hd_buf *out);
/** @return whether an entry of permissions.<key> has the right form; err says what is wrong. */
int hd_permission_check(enum hd_key key, struct hd_str entry, struct hd_error *err);
/** @return whether @p name is a variable's name: [A-Za-z_][A-Za-z0-9_]*, at most 256 long. */
bool hd_env_name_ok(struct hd_str name);
