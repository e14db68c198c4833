/* Inspect: says what a file is, by its content: weights, body, photo, JSON or arrays. */
#ifndef CROWDREC_INSPECT_H
#define CROWDREC_INSPECT_H

#include "tensor/error.h"

#include <stdio.h>

/* As crowdrec_inspect. */
Status inspect_file(const char *path, int all, FILE *report);

#endif
