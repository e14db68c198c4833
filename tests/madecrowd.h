/* Madecrowd: people with made-up numbers in every field, for tests of what is read and written. */
#ifndef TESTS_MADECROWD_H
#define TESTS_MADECROWD_H

#include "crowdrec/crowd.h"

enum { MADECROWD_WIDTH = 640, MADECROWD_HEIGHT = 480 };

/* Boxes lie inside a photo of that size, ids count from 1 as in a COCO file.  Free with
 * crowd_free. */
Crowd madecrowd_new(const char *photo, int people, unsigned flags);

#endif
