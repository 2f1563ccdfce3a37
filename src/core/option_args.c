/* option_args.c - options from a command line and from the environment. */
#include "core/option.h"

#include "core/suggest.h"

#include <stdio.h>

/* What a flag on the command line turned out to be. */
struct match {
    struct hd_option_set *set;
    const struct hd_option *option;
    bool off; /* --no-<flag>, or the option's inverse */
};

static bool word_in(const char *words, struct hd_str word)
{
    struct hd_str rest = hd_str(words), part;
    while (hd_str_split(&part, &rest, ' ')) {
        if (part.len > 0 && hd_str_eq(part, word))
            return true;
    }
    return false;
}

static bool flag_is(struct match *m, const struct hd_option *o, struct hd_str name)
{
    struct hd_str no = HD_LIT("no-");
    m->option = o;
    m->off = false;
    if (hd_str_is(name, o->flag) || (o->alias != NULL && word_in(o->alias, name)))
        return true;
    if (o->kind != HD_OPTION_BOOL)
        return false;
    m->off = true;
    if (o->inverse != NULL && hd_str_is(name, o->inverse))
        return true;
    if (!hd_str_starts(name, no))
        return false;
    return hd_str_is(hd_str_n(name.ptr + no.len, name.len - no.len), o->flag);
}

/* @param letter  '\0': look for the long @p name. */
static bool find_flag(struct match *m, const struct hd_option_args *args, struct hd_str name,
                      char letter)
{
    for (size_t i = 0; i < args->n_sets; i++) {
        m->set = args->sets[i];
        for (size_t k = 0; k < m->set->n; k++) {
            const struct hd_option *o = &m->set->options[k];
            if ((o->commands & args->command) == 0)
                continue;
            if (letter != '\0' && o->letter == letter) {
                m->option = o;
                m->off = false;
                return true;
            }
            if (letter == '\0' && o->flag != NULL && flag_is(m, o, name))
                return true;
        }
    }
    return false;
}

static int unknown_flag(const struct hd_option_args *args, struct hd_str name, struct hd_error *err)
{
    struct hd_suggest best = {0};
    struct hd_str no = HD_LIT("no-"), bare = name;
    if (hd_str_starts(name, no)) /* --no-port: there is nothing to turn off */
        bare = hd_str_n(name.ptr + no.len, name.len - no.len);
    for (size_t i = 0; i < args->n_sets; i++) {
        const struct hd_option_set *set = args->sets[i];
        for (size_t k = 0; k < set->n; k++) {
            const struct hd_option *o = &set->options[k];
            if ((o->commands & args->command) == 0 || o->flag == NULL)
                continue;
            hd_suggest_try(&best, bare, o->flag);
            if (o->inverse != NULL)
                hd_suggest_try(&best, name, o->inverse);
        }
    }
    hd_suggest_try(&best, name, "help");
    int shown = (int)HD_MIN(name.len, 60u);
    if (best.word != NULL)
        return hd_fail(err, HD_EINVAL, "unknown flag --%.*s; did you mean --%s?", shown, name.ptr,
                       best.word);
    return hd_fail(err, HD_EINVAL, "unknown flag --%.*s; --help lists the flags", shown, name.ptr);
}

/* The value behind a flag: after its '=', or the next argument. */
static int take_value(struct hd_str *value, const struct match *m, const char *shown, bool has,
                      int *at, int argc, char *const *argv, struct hd_error *err)
{
    const struct hd_option *o = m->option;
    if (o->kind == HD_OPTION_BOOL) {
        if (!has)
            *value = hd_str(m->off ? "false" : "true");
        else if (m->off)
            return hd_fail(err, HD_EINVAL, "%s takes no value", shown);
        return 0;
    }
    if (has)
        return 0;
    if (*at + 1 >= argc)
        return hd_fail(err, HD_EINVAL, "%s needs a value: %s %s", shown, shown, hd_option_arg(o));
    *value = hd_str(argv[++*at]);
    return 0;
}

static int apply(const struct match *m, struct hd_str value, const char *shown,
                 struct hd_error *err)
{
    int rc = hd_option_set_value(m->set, m->option, HD_OPTION_FROM_FLAG, value, NULL, shown, err);
    return rc < 0 ? hd_wrap(err, rc, "%s", shown) : 0;
}

static int long_flag(struct hd_option_args *args, int *at, int argc, char *const *argv,
                     struct hd_error *err)
{
    struct hd_str text = hd_str(argv[*at] + 2);
    size_t cut = hd_str_find(text, '=');
    struct hd_str name = hd_str_n(text.ptr, cut), value = {NULL, 0};
    bool has = cut < text.len;
    if (has)
        value = hd_str_n(text.ptr + cut + 1, text.len - cut - 1);
    struct match m;
    if (hd_str_is(name, "help") && !has) {
        args->help = true;
        return 0;
    }
    if (!find_flag(&m, args, name, '\0'))
        return unknown_flag(args, name, err);
    char shown[80];
    snprintf(shown, sizeof(shown), "--%.*s", HD_FMT(name));
    int rc = take_value(&value, &m, shown, has, at, argc, argv, err);
    return rc < 0 ? rc : apply(&m, value, shown, err);
}

/* -p 80, -p80; letters without a value may stand together. */
static int short_flags(struct hd_option_args *args, int *at, int argc, char *const *argv,
                       struct hd_error *err)
{
    const char *arg = argv[*at];
    for (const char *c = arg + 1; *c != '\0'; c++) {
        struct match m;
        char shown[3] = {'-', *c, '\0'};
        if (*c == 'h') {
            args->help = true;
            continue;
        }
        if (!find_flag(&m, args, hd_str(NULL), *c))
            return hd_fail(err, HD_EINVAL, "unknown flag %s; --help lists the flags", shown);
        bool takes = m.option->kind != HD_OPTION_BOOL, has = takes && c[1] != '\0';
        struct hd_str value = has ? hd_str(c + 1) : hd_str(NULL);
        int rc = take_value(&value, &m, shown, has, at, argc, argv, err);
        if (rc == 0)
            rc = apply(&m, value, shown, err);
        if (rc < 0 || takes)
            return rc;
    }
    return 0;
}

int hd_option_parse_args(struct hd_option_args *args, int argc, char *const *argv,
                         struct hd_error *err)
{
    bool flags = true;
    for (int at = 0; at < argc; at++) {
        const char *arg = argv[at];
        int rc = 0;
        if (flags && strcmp(arg, "--") == 0) {
            flags = false;
        } else if (flags && arg[0] == '-' && arg[1] == '-') {
            rc = long_flag(args, &at, argc, argv, err);
        } else if (flags && arg[0] == '-' && arg[1] != '\0') {
            rc = short_flags(args, &at, argc, argv, err);
        } else if (args->n_words < args->max_words) {
            args->words[args->n_words++] = argv[at];
        } else {
            return hd_fail(err, HD_EINVAL, "unexpected argument \"%.60s\"", arg);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The value of a variable, or NULL if it is not set or empty. */
static const char *lookup(char *const *env, struct hd_str name)
{
    for (; *env != NULL; env++) {
        if (strncmp(*env, name.ptr, name.len) == 0 && (*env)[name.len] == '=' &&
            (*env)[name.len + 1] != '\0')
            return *env + name.len + 1;
    }
    return NULL;
}

static int set_variable(struct hd_option_set *set, const struct hd_option *o, const char *name,
                        const char *value, struct hd_error *err)
{
    int rc = hd_option_set_value(set, o, HD_OPTION_FROM_ENV, hd_str(value), NULL, name, err);
    return rc < 0 ? hd_wrap(err, rc, "%s", name) : 0;
}

/* HEDDLE_X, then 1TUBE_X, then the historic names: the first that is set. A list takes all of its
 * historic names. */
static int read_variable(struct hd_option_set *set, const struct hd_option *o, char *const *env,
                         struct hd_error *err)
{
    static const struct hd_str prefix = HD_LIT("HEDDLE_");
    struct hd_str part, rest = hd_str(o->history);
    char name[80];
    const char *value = lookup(env, hd_str(o->env));
    if (value != NULL)
        return set_variable(set, o, o->env, value, err);
    if (hd_str_starts(hd_str(o->env), prefix)) {
        snprintf(name, sizeof(name), "1TUBE_%s", o->env + prefix.len);
        value = lookup(env, hd_str(name));
    }
    if (value != NULL)
        return set_variable(set, o, name, value, err);
    while (hd_str_split(&part, &rest, ' ')) {
        snprintf(name, sizeof(name), "%.*s", HD_FMT(part));
        value = lookup(env, part);
        int rc = value != NULL ? set_variable(set, o, name, value, err) : 0;
        if (rc < 0 || (value != NULL && o->kind != HD_OPTION_LIST))
            return rc;
    }
    return 0;
}

int hd_option_parse_env(struct hd_option_set *set, char *const *env, struct hd_error *err)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct hd_option *o = &set->options[i];
        /* a second reading replaces what the first one collected */
        if (o->kind == HD_OPTION_LIST && set->origins[i].rank == HD_OPTION_FROM_ENV)
            hd_option_list_clear(set, o);
        int rc = o->env != NULL ? read_variable(set, o, env, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}
