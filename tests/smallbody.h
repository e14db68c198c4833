/* Smallbody: a made-up body of SMPL's format and any size, for tests that need no fixtures or that
 * must break something.
 *
 *     SmallBody *s = smallbody_new(40, 30);
 *     smallbody_set(s, "weights", 5, NAN);
 *     smallbody_write(s, path);               // npz
 *     smallbody_free(s);
 */
#ifndef TESTS_SMALLBODY_H
#define TESTS_SMALLBODY_H

#include "tensor/tensor.h"

enum { SMALLBODY_ARRAYS = 8 };

typedef struct {
    Arena *arena;
    Array array[SMALLBODY_ARRAYS];
    int count;
} SmallBody;

/* Vertices lie around the joints of a T that looks along z; all numbers come from one stream. */
SmallBody *smallbody_new(int vertices, int faces);
void smallbody_free(SmallBody *s);

Array *smallbody_array(SmallBody *s, const char *name);
void smallbody_set(SmallBody *s, const char *name, size_t i, double value);
void smallbody_remove(SmallBody *s, const char *name);

/* Adds a zeroed F32 array of up to three sizes; 0 ends them. */
Array *smallbody_add(SmallBody *s, const char *name, int a, int b, int c);

void smallbody_write(const SmallBody *s, const char *path);

#endif
