#include "pool/process/program.h"

#include <sys/stat.h>
#include <unistd.h>

static bool reachable(const char *path)
{
    hd_auto_free char *part = hd_strdup(path);
    struct stat st;
    for (char *p = part + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (stat(part, &st) < 0 || !(st.st_mode & S_IXOTH))
            return false;
        *p = '/';
    }
    return stat(part, &st) == 0 && (st.st_mode & S_IXOTH);
}

static bool usable(const char *path, bool for_others)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0 &&
           (!for_others || reachable(path));
}

char *hd_program_find(const char *name, const char *path, bool for_others)
{
    if (strchr(name, '/') != NULL) { /* the user chose it: what is hidden is brought back */
        if (!usable(name, false))
            return NULL;
        hd_auto_free char *here = name[0] != '/' ? getcwd(NULL, 0) : NULL;
        /* Links are not followed: a Python environment is known by the path it is called by. */
        return here != NULL ? hd_printf("%s/%s", here, name) : hd_strdup(name);
    }
    struct hd_str rest = hd_str(path), dir;
    while (hd_str_split(&dir, &rest, ':')) {
        if (dir.len == 0 || dir.ptr[0] != '/')
            continue;
        hd_auto_free char *candidate = hd_printf("%.*s/%s", HD_FMT(dir), name);
        if (usable(candidate, for_others))
            return hd_steal(candidate);
    }
    return NULL;
}

char *hd_program_home(const char *program)
{
    static const char *const system[] = {"", "/usr", "/usr/local"};
    hd_auto_free char *real = realpath(program, NULL);
    if (real == NULL)
        return NULL;
    *strrchr(real, '/') = '\0';
    char *last = strrchr(real, '/');
    if (last != NULL && strcmp(last, "/bin") == 0)
        *last = '\0';
    for (size_t i = 0; i < HD_COUNT(system); i++)
        if (strcmp(real, system[i]) == 0)
            return NULL;
    return hd_steal(real);
}
