/* core/option.h - options that are declared once: one table says flag, environment variable, key in
 * the configuration file, kind, range, default and help, and all of these are made from it. */
#pragma once

#include "core/buf.h"

/** How a value is written, and what lies at the option's offset. */
enum hd_option_kind {
    HD_OPTION_BOOL,    /* bool */
    HD_OPTION_U16,     /* uint16_t */
    HD_OPTION_U32,     /* uint32_t */
    HD_OPTION_U64,     /* uint64_t */
    HD_OPTION_MS,      /* uint32_t: milliseconds */
    HD_OPTION_MB,      /* uint64_t: bytes; written as MiB ("30", "0.5") or "none": UINT64_MAX */
    HD_OPTION_STR,     /* char *: NULL when not given */
    HD_OPTION_PATH,    /* char *: made absolute, or NULL */
    HD_OPTION_PROGRAM, /* char *: a name to look for on PATH, or a path as above */
    HD_OPTION_ENUM,    /* an enum: the index in `words` */
    HD_OPTION_LIST,    /* struct hd_option_list */
};

/** A list of strings. */
struct hd_option_list {
    char **items; /* NULL-terminated; NULL while empty */
    size_t n;
};

/** One option. Texts are static; what is not needed stays 0. */
struct hd_option {
    const char *key;     /* its name: "listen.port"; also its place in the file */
    const char *flag;    /* "port" for --port; NULL: not on the command line */
    char letter;         /* 'p' for -p; 0: none */
    const char *alias;   /* other flags for the same, separated by blanks */
    const char *inverse; /* bool: a flag that turns it off, beside --no-<flag> */
    const char *env;     /* "HEDDLE_PORT" (also read as 1TUBE_PORT); NULL: none */
    const char *history; /* other variables, separated by blanks; they lose against `env` */
    enum hd_option_kind kind;
    bool secret;              /* never shown; wiped */
    bool no_file;             /* not in the configuration file */
    bool paths;               /* list: of paths, made absolute */
    bool whole;               /* list: commas are part of an item; the flag is repeated */
    size_t offset;            /* in the struct of values */
    uint64_t min, max;        /* numbers; in the option's unit. max 0: what the type can hold */
    const char *zero;         /* a word that means 0, such as "auto" or "none" */
    const char *const *words; /* enum: NULL-terminated */
    const char *fallback;     /* the default, as it would be written; NULL: false, 0, none */
    const char *arg;          /* what the value is called in help: "PORT" */
    const char *group;        /* heading in help; options of one group stand together */
    const char *help;         /* one sentence without its full stop */
    uint32_t commands;        /* bits of the commands it belongs to */
};

/** Who said it; a higher one wins. */
enum hd_option_rank {
    HD_OPTION_DEFAULT,
    HD_OPTION_FROM_FILE,
    HD_OPTION_FROM_ENV,
    HD_OPTION_FROM_FLAG,
};

struct hd_option_origin {
    enum hd_option_rank rank;
    char *text; /* "--port", "HEDDLE_PORT", "heddle.yml:3 listen.port", "default" */
};

/** A table, the struct it fills, and where each value came from. */
struct hd_option_set {
    const struct hd_option *options; /* borrowed */
    size_t n;
    void *values;                     /* borrowed */
    struct hd_option_origin *origins; /* one an option */
    char *cwd;                        /* what relative paths are relative to */
    const char *const
        *foreign; /* sections of the file that others read; NULL-terminated, or NULL */
};

/**
 * Fill @p values with the defaults.
 * @param options  borrowed until done; a default that does not parse fails an assertion.
 * @param values   borrowed until done; its strings and lists belong to the set.
 * @param cwd      absolute; copied.
 */
void hd_option_set_init(struct hd_option_set *set, const struct hd_option *options, size_t n,
                        void *values, const char *cwd);
/** Free (secrets: wipe and free) every string in the values, and the origins. Zeroed is fine. */
void hd_option_set_done(struct hd_option_set *set);

/** What to take from a command line. */
struct hd_option_args {
    struct hd_option_set *const *sets; /* each is asked for a flag, in this order */
    size_t n_sets;
    uint32_t command; /* only options with one of these bits */
    char **words;     /* filled with the arguments that are no flags, borrowed from argv */
    size_t n_words, max_words;
    bool help; /* set: --help or -h was among them */
};
/**
 * Read `--flag value`, `--flag=value`, `--no-flag`, `-f value` and words; `--` ends the flags.
 * A flag given twice: the last one counts; a list collects.
 * @param argv  without the program's and the command's name.
 * @return 0, or HD_EINVAL with the closest known flag in the message.
 */
int hd_option_parse_args(struct hd_option_args *args, int argc, char *const *argv,
                         struct hd_error *err);
/**
 * Read the environment. An empty variable counts as not set.
 * @param env  "NAME=value", NULL-terminated.
 * @return 0, or HD_EINVAL with the variable's name in the message.
 */
int hd_option_parse_env(struct hd_option_set *set, char *const *env, struct hd_error *err);
/**
 * Read a YAML file's text: nested maps by the dots of the keys. Unknown and repeated keys are
 * errors.
 * @param path    as shown in messages and origins; relative paths in it are relative to its folder.
 * @return 0, or HD_EINVAL with file:line and key in the message.
 */
int hd_option_parse_yaml(struct hd_option_set *set, const char *path, struct hd_str text,
                         struct hd_error *err);
/** Longest file that is read. */
enum { HD_OPTION_FILE_MAX = 1 << 20 };
/** As hd_option_parse_yaml(), from the file; a relative @p path starts at the set's cwd.
 * @return also what opening it fails with. */
int hd_option_parse_file(struct hd_option_set *set, const char *path, struct hd_error *err);

/**
 * Set one value, unless somebody of a higher rank has already.
 * @param base    what a relative path is relative to; NULL: the set's cwd.
 * @param origin  copied; lists with the same origin rank collect.
 * @return 0, or HD_EINVAL: "must be ..., not \"x\"", without saying whose value it is.
 */
int hd_option_set_value(struct hd_option_set *set, const struct hd_option *option,
                        enum hd_option_rank rank, struct hd_str text, const char *base,
                        const char *origin, struct hd_error *err);
/** Forget what a list holds, so that a new source replaces it and does not add. */
void hd_option_list_clear(struct hd_option_set *set, const struct hd_option *option);

/** @return the option with that key, or NULL. */
const struct hd_option *hd_option_find(const struct hd_option_set *set, const char *key);
/** @return who said the value of @p key; the key must exist. */
const struct hd_option_origin *hd_option_origin(const struct hd_option_set *set, const char *key);
/** Write the effective value as it would be written; a secret as "(set)". */
void hd_option_format(struct hd_buf *out, const struct hd_option_set *set,
                      const struct hd_option *option);
/** @return whether the option has a value: not so for an empty string or list. */
bool hd_option_given(const struct hd_option_set *set, const struct hd_option *option);
/** Write what may be given: "1 to 65535", "text | json", "number of MiB, or none". */
void hd_option_range(struct hd_buf *out, const struct hd_option *option);
/** @return what the value is called in help: "PORT", "MS"; "" for a bool. */
const char *hd_option_arg(const struct hd_option *option);
