/* cli/scan.h - the functions of a folder as a node would see them, without a node. */
#pragma once

#include "cli/cli.h"
#include "functions/registry.h"

struct hd_cli_scan {
    struct hd_defaults defaults;
    struct hd_option_list built_in_env;
    struct hd_registry *registry;
    struct hd_scan scan;
};
/**
 * Look at the folder of @p opt.
 * @return 0, or an exit code, and it is said. In both cases *s goes to hd_cli_scan_done().
 */
int hd_cli_scan(struct hd_cli *cli, struct hd_cli_scan *s, const struct hd_node_options *opt);
void hd_cli_scan_done(struct hd_cli_scan *s);
