/* fuzz_envfile.c - what is read has good names, each once; what is refused has a line. */
#include "functions/envfile.h"
#include "functions/manifest.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_env_file f;
    struct hd_error err = {0};
    int rc = hd_env_file_parse(&f, hd_str_n((const char *)data, size), "f", &err);
    if (rc < 0) {
        fuzz_check(rc == HD_EINVAL && strncmp(err.msg, "f:", 2) == 0 && f.vars == NULL);
        return 0;
    }
    for (size_t i = 0; i < f.n; i++) {
        fuzz_check(hd_env_name_ok(hd_str(f.vars[i].key)));
        fuzz_check(hd_env_file_find(&f, hd_str(f.vars[i].key)) == &f.vars[i]);
        fuzz_check(f.vars[i].line >= 1 && strlen(f.vars[i].value) <= size);
    }
    hd_env_file_done(&f);
    return 0;
}
