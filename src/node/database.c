#include "node/database.h"

#include "store/store.h"

#include <errno.h>
#include <unistd.h>

char *hd_node_database_path(const struct hd_node_options *opt)
{
    return hd_printf("%s/heddle.db", opt->data_dir);
}

int hd_node_database_check(const struct hd_node_options *opt, struct hd_error *err)
{
    hd_auto_free char *path = hd_node_database_path(opt);
    if (access(path, F_OK) < 0)
        return hd_fail_sys(err, errno, "%s", path);
    return hd_store_check(path, err);
}
