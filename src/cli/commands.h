/* cli/commands.h - the commands, one source file each, for the table in commands.c. */
#pragma once

#include "cli/cli.h"

int hd_cmd_serve(struct hd_cli *cli); /* and dev */
int hd_cmd_image(struct hd_cli *cli);
int hd_cmd_init(struct hd_cli *cli);
int hd_cmd_new(struct hd_cli *cli);
int hd_cmd_invoke(struct hd_cli *cli);
int hd_cmd_list(struct hd_cli *cli);
int hd_cmd_logs(struct hd_cli *cli);
int hd_cmd_emit(struct hd_cli *cli);
int hd_cmd_call(struct hd_cli *cli);
int hd_cmd_lanes(struct hd_cli *cli);
int hd_cmd_lambda(struct hd_cli *cli);
int hd_cmd_config(struct hd_cli *cli);
int hd_cmd_doctor(struct hd_cli *cli);
int hd_cmd_version(struct hd_cli *cli);
int hd_cmd_help(struct hd_cli *cli);

/* their own options */
extern const struct hd_option hd_init_options[], hd_new_options[], hd_invoke_options[],
    hd_list_options[], hd_logs_options[], hd_lanes_options[], hd_emit_options[], hd_call_options[],
    hd_config_options[], hd_image_options[], hd_doctor_options[], hd_version_options[],
    hd_help_options[], hd_lambda_options[];
extern const size_t hd_init_options_n, hd_new_options_n, hd_invoke_options_n, hd_list_options_n,
    hd_lanes_options_n, hd_emit_options_n, hd_call_options_n, hd_logs_options_n,
    hd_config_options_n, hd_image_options_n, hd_doctor_options_n, hd_version_options_n,
    hd_help_options_n, hd_lambda_options_n;
