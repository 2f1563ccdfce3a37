#include "functions/function.h"

#include "functions/env.h"

#include <stdio.h>

const char *hd_runtime_name(enum hd_runtime r)
{
    switch (r) {
    case HD_RUNTIME_DENO:
        return "deno";
    case HD_RUNTIME_NODE:
        return "node";
    case HD_RUNTIME_PYTHON:
        return "python";
    case HD_RUNTIME_HTTP:
        return "http";
    }
    return "unknown";
}

struct hd_function *hd_function_new(const char *name)
{
    struct hd_function *fn = hd_new(struct hd_function);
    snprintf(fn->name, sizeof(fn->name), "%s", name);
    return fn;
}

struct hd_function *hd_function_ref(const struct hd_function *fn)
{
    /* The count is the one thing that changes; the rest stays const for everybody. */
    struct hd_function *counted = (struct hd_function *)(uintptr_t)fn;
    atomic_fetch_add_explicit(&counted->more_owners, 1, memory_order_relaxed);
    return counted;
}

void hd_settings_done(struct hd_settings *set)
{
    hd_strings_done(&set->require);
    hd_strings_done(&set->allow_net);
    hd_strings_done(&set->allow_env);
    hd_strings_done(&set->allow_read);
    hd_strings_done(&set->allow_write);
    *set = (struct hd_settings){0};
}

/* Values may be secrets, so they do not stay behind in freed memory. */
static void free_env(char **env)
{
    for (size_t i = 0; env != NULL && env[i] != NULL; i++) {
        explicit_bzero(env[i], strlen(env[i]));
        free(env[i]);
    }
    free(env);
}

void hd_function_unref(struct hd_function *fn)
{
    if (fn == NULL || atomic_fetch_sub_explicit(&fn->more_owners, 1, memory_order_acq_rel) != 0)
        return;
    hd_settings_done(&fn->set);
    if (fn->env_block != NULL)
        hd_env_unref(fn->env_block);
    else
        free_env(fn->env);
    for (size_t i = 0; i < fn->n_origins; i++) {
        free(fn->origins[i].value);
        free(fn->origins[i].source);
    }
    free(fn->origins);
    hd_strings_done(&fn->argv);
    hd_strings_done(&fn->warnings);
    free(fn->dir);
    free(fn->entry);
    free(fn->handler);
    free(fn->import_map);
    free(fn->health_path);
    free(fn->problem);
    free(fn);
}

const char *hd_function_env(const struct hd_function *fn, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; fn->env != NULL && fn->env[i] != NULL; i++) {
        if (strncmp(fn->env[i], key, len) == 0 && fn->env[i][len] == '=')
            return fn->env[i] + len + 1;
    }
    return NULL;
}
