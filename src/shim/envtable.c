#include "shim/envtable.h"

#include <stdio.h>

static struct hd_str name_of(const char *pair)
{
    struct hd_str s = hd_str(pair);
    return hd_str_n(s.ptr, hd_str_find(s, '='));
}

static bool is_one_of(struct hd_str name, const char *const *list)
{
    for (; *list != NULL; list++)
        if (hd_str_is(name, *list))
            return true;
    return false;
}

static bool is_the_nodes(struct hd_str name, bool port, bool lambda)
{
    static const char *const names[] = {"HEDDLE_SOCKET", "HEDDLE_HOST_TOKEN", "DENO_DIR", NULL};
    return is_one_of(name, names) || (port && hd_str_is(name, "PORT")) ||
           (lambda && hd_str_starts(name, hd_str("HEDDLE_")));
}

static bool is_the_runtimes(struct hd_str name)
{
    static const char *const names[] = {"AWS_EXECUTION_ENV",          "AWS_LAMBDA_LOG_GROUP_NAME",
                                        "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING",
                                        "AWS_XRAY_DAEMON_ADDRESS",    "LAMBDA_RUNTIME_DIR",
                                        "LAMBDA_TASK_ROOT",           NULL};
    return hd_str_starts(name, hd_str("_")) || is_one_of(name, names);
}

static size_t count(char *const *list)
{
    size_t n = 0;
    while (list[n] != NULL)
        n++;
    return n;
}

void hd_envtable_set(char ***table, const char *pair)
{
    struct hd_str name = name_of(pair);
    size_t n = count(*table);
    for (size_t i = 0; i < n; i++) {
        if (!hd_str_eq(name_of((*table)[i]), name))
            continue;
        free((*table)[i]);
        (*table)[i] = hd_strdup(pair);
        return;
    }
    char **longer = hd_new_array(char *, n + 2);
    memcpy((void *)longer, (const void *)*table, n * sizeof(**table));
    longer[n] = hd_strdup(pair);
    free((void *)*table);
    *table = longer;
}

const char *hd_envtable_get(char *const *table, const char *name)
{
    for (; *table != NULL; table++)
        if (hd_str_is(name_of(*table), name))
            return *table + strlen(name) + 1;
    return NULL;
}

static void set_default(char ***table, const char *name, const char *value)
{
    if (value == NULL || hd_envtable_get(*table, name) != NULL)
        return;
    hd_auto_free char *pair = hd_printf("%s=%s", name, value);
    hd_envtable_set(table, pair);
}

char **hd_envtable_make(const struct hd_loadreq *load, char *const *own, const char *api,
                        enum hd_envtable_for whom)
{
    char **table = hd_new_array(char *, 1);
    bool port = hd_str(hd_envtable_get(own, "HEDDLE_SOCKET")).len == 0;
    for (size_t i = 0; own[i] != NULL; i++)
        if (!is_the_nodes(name_of(own[i]), port, load->lambda))
            hd_envtable_set(&table, own[i]);
    for (size_t i = 0; load->env[i] != NULL; i++)
        hd_envtable_set(&table, load->env[i]);
    set_default(&table, "_HANDLER", load->handler);
    set_default(&table, "LAMBDA_TASK_ROOT", load->root);
    hd_auto_free char *address = hd_printf("AWS_LAMBDA_RUNTIME_API=%s", api);
    hd_envtable_set(&table, address);
    if (whom == HD_ENV_RUNTIME)
        return table;
    size_t kept = 0;
    for (size_t i = 0; table[i] != NULL; i++) {
        if (is_the_runtimes(name_of(table[i])))
            free(table[i]);
        else
            table[kept++] = table[i];
    }
    table[kept] = NULL;
    return table;
}

void hd_envtable_free(char **table)
{
    for (size_t i = 0; table != NULL && table[i] != NULL; i++) {
        explicit_bzero(table[i], strlen(table[i]));
        free(table[i]);
    }
    free((void *)table);
}
