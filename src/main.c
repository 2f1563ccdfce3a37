/* main.c - the one program: `heddle`, and `heddled` under its other name. */
#include "core/base.h"
#include "pool/sandbox.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    if (strcmp(argv[0], HD_SANDBOX_ARGV0) == 0)
        return hd_sandbox_main(argc, argv);
    fprintf(stderr, "%s\n", argv[0]);
    return 64;
}
