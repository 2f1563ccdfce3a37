/* replay.c - feed the files of folders to a fuzz target, without a fuzzer. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

enum { FILE_MAX_BYTES = 1 << 20 };

/* Feed one file from memory that ends where it ends. */
static bool replay(const char *path)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    if (f == NULL || fstat(fileno(f), &st) < 0 || st.st_size > FILE_MAX_BYTES) {
        fprintf(stderr, "%s: %s\n", path, f == NULL ? strerror(errno) : "larger than 1 MiB");
        if (f != NULL)
            fclose(f);
        return false;
    }
    const size_t size = (size_t)st.st_size;
    uint8_t *bytes = hd_alloc(size);
    const bool whole = fread(bytes, 1, size, f) == size;
    fclose(f);
    if (whole)
        LLVMFuzzerTestOneInput(bytes, size);
    else
        fprintf(stderr, "%s: cannot be read\n", path);
    free(bytes);
    return whole;
}

static bool replay_folder(const char *folder, size_t *count)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    bool good = dir != NULL;
    if (dir == NULL)
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        hd_auto_free char *path = hd_printf("%s/%s", folder, entry->d_name);
        good = replay(path) && good;
        ++*count;
    }
    if (dir != NULL)
        closedir(dir);
    return good;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    bool good = true;
    for (int i = 1; i < argc; i++)
        good = replay_folder(argv[i], &count) && good;
    printf("%zu inputs\n", count);
    return good && count > 0 ? 0 : 1; /* having looked at nothing is no success */
}
