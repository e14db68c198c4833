/* Program: where this program or library lies, so that it finds what is installed beside it. */
#ifndef TENSOR_PROGRAM_H
#define TENSOR_PROGRAM_H

#include <limits.h>

/* The folder of the shared library, or else program, that this code is part of; "." if unknown. */
void program_folder(char folder[PATH_MAX]);

#endif
