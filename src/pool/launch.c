#include "pool/launch.h"

static const char *const *copy_list(const char *const *list)
{
    size_t n = 0;
    if (list == NULL)
        return NULL;
    while (list[n] != NULL)
        n++;
    char **copy = hd_new_array(char *, n + 1);
    for (size_t i = 0; i < n; i++)
        copy[i] = hd_strdup(list[i]);
    return (const char *const *)copy;
}

static void free_list(const char *const *list)
{
    if (list == NULL)
        return;
    for (size_t i = 0; list[i] != NULL; i++) {
        explicit_bzero((char *)list[i], strlen(list[i]));
        free((char *)list[i]);
    }
    free((void *)list);
}

/* Every pointer of struct hd_launch is named here and in hd_launch_done(); the size is how we learn
 * of a new one. */
_Static_assert(sizeof(void *) != 8 || sizeof(struct hd_launch_lambda) == 17 * 8 + 2 * 4 + 8,
               "struct hd_launch_lambda has changed: copy what is new");
_Static_assert(sizeof(void *) != 8 || sizeof(struct hd_launch) == 17 * 8 + 4 * 4 + 8,
               "struct hd_launch has changed: copy what is new");

static const struct hd_launch_lambda *copy_lambda(const struct hd_launch_lambda *from)
{
    if (from == NULL)
        return NULL;
    struct hd_launch_lambda *to = hd_new(struct hd_launch_lambda);
    *to = *from;
    to->runtime_id = hd_strdup(from->runtime_id);
    to->code_dir = hd_strdup(from->code_dir);
    to->opt_dir = hd_strdup(from->opt_dir);
    to->image = hd_strdup(from->image);
    to->image_entry_point = copy_list(from->image_entry_point);
    to->image_command = copy_list(from->image_command);
    to->image_workdir = hd_strdup(from->image_workdir);
    to->architecture = hd_strdup(from->architecture);
    to->account = hd_strdup(from->account);
    to->region = hd_strdup(from->region);
    to->role = hd_strdup(from->role);
    to->arn = hd_strdup(from->arn);
    to->name = hd_strdup(from->name);
    to->qualifier = hd_strdup(from->qualifier);
    to->log_group = hd_strdup(from->log_group);
    to->log_stream = hd_strdup(from->log_stream);
    to->log_level = hd_strdup(from->log_level);
    return to;
}

static void free_lambda(const struct hd_launch_lambda *l)
{
    if (l == NULL)
        return;
    free((char *)l->runtime_id);
    free((char *)l->code_dir);
    free((char *)l->opt_dir);
    free((char *)l->image);
    free_list(l->image_entry_point);
    free_list(l->image_command);
    free((char *)l->image_workdir);
    free((char *)l->architecture);
    free((char *)l->account);
    free((char *)l->region);
    free((char *)l->role);
    free((char *)l->arn);
    free((char *)l->name);
    free((char *)l->qualifier);
    free((char *)l->log_group);
    free((char *)l->log_stream);
    free((char *)l->log_level);
    free((void *)l);
}

void hd_launch_copy(struct hd_launch *to, const struct hd_launch *from)
{
    *to = *from;
    to->function = hd_strdup(from->function);
    to->version = hd_strdup(from->version);
    to->instance = hd_strdup(from->instance);
    to->runtime = hd_strdup(from->runtime);
    to->root = hd_strdup(from->root);
    to->dir = hd_strdup(from->dir);
    to->entry = hd_strdup(from->entry);
    to->handler = hd_strdup(from->handler);
    to->import_map = hd_strdup(from->import_map);
    to->argv = copy_list(from->argv);
    to->health_path = hd_strdup(from->health_path);
    to->env = copy_list(from->env);
    to->net = copy_list(from->net);
    to->read = copy_list(from->read);
    to->write = copy_list(from->write);
    to->prefix = hd_strdup(from->prefix);
    to->lambda = copy_lambda(from->lambda);
}

void hd_launch_done(struct hd_launch *l)
{
    free((char *)l->function);
    free((char *)l->version);
    free((char *)l->instance);
    free((char *)l->runtime);
    free((char *)l->root);
    free((char *)l->dir);
    free((char *)l->entry);
    free((char *)l->handler);
    free((char *)l->import_map);
    free_list(l->argv);
    free((char *)l->health_path);
    free_list(l->env);
    free_list(l->net);
    free_list(l->read);
    free_list(l->write);
    free((char *)l->prefix);
    free_lambda(l->lambda);
    *l = (struct hd_launch){0};
}
