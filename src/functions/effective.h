/* functions/effective.h - what holds for one function: the gateway's defaults, config.toml and the
 * manifest laid over each other, and where each value came from. */
#pragma once

#include "functions/discover.h"
#include "functions/manifest.h"

/** What holds where a function says nothing. */
struct hd_defaults {
    struct hd_settings set;
    const char *source[HD_KEY_COUNT]; /* "--timeout", "HEDDLE_TIMEOUT_MS"; NULL: "default" */
    bool dev;                         /* development mode */
    bool enforce;                     /* permissions of the manifests are enforced ... */
    bool allow_all;                   /* ... unless this says they are not */
};
/** Fill in the defaults of the table of keys; the caller changes what it likes. */
void hd_defaults_init(struct hd_defaults *d);
void hd_defaults_done(struct hd_defaults *d);

/** What is known of one function before its settings are made; all borrowed. */
struct hd_sources {
    const struct hd_found *found;
    const struct hd_manifest *manifest;    /* heddle.json or 1tube.json, or NULL */
    const struct hd_manifest *config_toml; /* its section, or NULL; weaker than the manifest */
    const struct hd_defaults *defaults;
    const char *root_import_map; /* of the functions root, or NULL */
};

/**
 * Fill in runtime, folder, entry, command, import map, settings and origins.
 * Looks at the disk for entry and import map that a manifest names. Off the loop.
 * @return 0, or HD_EINVAL: it cannot run, err says why and what to do.
 */
int hd_effective(struct hd_function *fn, const struct hd_sources *from, struct hd_error *err);
/** @return the value of a key that config.toml or the manifest gives, or NULL. */
const struct hd_value *hd_sources_value(const struct hd_sources *from, enum hd_key key);

/** Append a setting's value as people write it: "30", "none", "a, b". */
void hd_setting_text(struct hd_buf *out, const struct hd_settings *set, enum hd_key key);

/** One line of `heddle config explain`. */
struct hd_explain_row {
    const char *section; /* "function", "setting" or "env" */
    char *key, *value, *source;
};
struct hd_explanation {
    struct hd_explain_row *rows;
    size_t n;
};
/**
 * Tell every effective value with its source. Secrets in the environment are shown as "****".
 * @param out  to be freed with hd_explanation_done().
 */
void hd_explain(struct hd_explanation *out, const struct hd_function *fn,
                const struct hd_defaults *defaults);
void hd_explanation_done(struct hd_explanation *e);
