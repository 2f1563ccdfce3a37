#include "cli/scan.h"

#include "node/defaults.h"
#include "node/devkeys.h"

int hd_cli_scan(struct hd_cli *cli, struct hd_cli_scan *s, const struct hd_node_options *opt)
{
    struct hd_error err = {0};
    *s = (struct hd_cli_scan){0};
    hd_node_defaults(&s->defaults, opt);
    hd_devkeys_env(&s->built_in_env, opt, cli->env);
    if (hd_node_options_check_functions(opt, &err) < 0)
        return hd_cli_fail(cli, HD_EXIT_CONFIG, "%s", err.msg);
    struct hd_registry_options how = {.root = opt->functions_dir,
                                      .project_dir = opt->cwd,
                                      .env_files = (const char *const *)opt->env_files.items,
                                      .process_env = (const char *const *)cli->env,
                                      .built_in_env = (const char *const *)s->built_in_env.items,
                                      .defaults = &s->defaults};
    hd_term_progress(&cli->err, "looking at %s ...", opt->functions_dir);
    int rc = hd_registry_new(&s->registry, &how, &err);
    if (rc == 0)
        rc = hd_registry_scan(s->registry, &s->scan, &err);
    hd_term_progress_end(&cli->err);
    return rc < 0 ? hd_cli_fail(cli, HD_EXIT_CONFIG, "%s", err.msg) : 0;
}

void hd_cli_scan_done(struct hd_cli_scan *s)
{
    hd_scan_done(&s->scan);
    hd_registry_free(s->registry);
    hd_devkeys_env_done(&s->built_in_env);
    hd_defaults_done(&s->defaults);
    *s = (struct hd_cli_scan){0};
}
