#include "native/jsonread.h"
#include "native/native.h"

#include <time.h>

enum { NAME_MAX_BYTES = 4096 };

static int set_variable(struct hd_str key, struct hd_str value, struct hd_error *err)
{
    char name[NAME_MAX_BYTES];
    int n = hd_jsonread_string(name, sizeof(name), key);
    if (n <= 0 || strchr(name, '=') != NULL)
        return hd_fail(err, HD_EPROTO, "load request: env has a name that no variable can have");
    hd_auto_free char *text = hd_alloc_array(value.len + 1, 1);
    if (hd_jsonread_string(text, value.len + 1, value) < 0)
        return hd_fail(err, HD_EPROTO, "load request: env.%s: must be a string without NUL", name);
    if (setenv(name, text, 1) < 0)
        return hd_fail(err, HD_EPROTO, "load request: env.%s: cannot be set", name);
    return 0;
}

int hd_native_load(bool *lambda, struct hd_str body, struct hd_error *err)
{
    struct hd_jsonread r;
    struct hd_str key, value;
    hd_jsonread_init(&r, body);
    if (!r.object)
        return hd_fail(err, HD_EPROTO, "load request: must be a JSON object");
    *lambda = hd_jsonread_find(body, "lambda").ptr != NULL;
    if (*lambda) { /* not among a Lambda function's variables, unless they are given */
        static const char *const others[] = {"HEDDLE_RUN_DIR", "HOME", "LANG", "TMPDIR", "TZ"};
        for (size_t i = 0; i < HD_COUNT(others); i++)
            unsetenv(others[i]);
    }
    hd_jsonread_init(&r, hd_jsonread_find(body, "env"));
    while (hd_jsonread_next(&r, &key, &value)) {
        int rc = set_variable(key, value, err);
        if (rc < 0)
            return rc;
    }
    tzset();
    return 0;
}
