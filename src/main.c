/* main.c - the one program: `heddle`, and `heddled` under its other name. */
#include "cli/cli.h"
#include "pool/process/sandbox.h"

#include <unistd.h>

int main(int argc, char **argv)
{
    if (strcmp(argv[0], HD_SANDBOX_ARGV0) == 0)
        return hd_sandbox_main(argc, argv);
    return hd_cli_main(argc, argv, environ);
}
