/* main.c - the one program: `heddle`, and `heddled` under its other name. */
#include "core/base.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    (void)argc;
    fprintf(stderr, "%s\n", argv[0]);
    return 64;
}
