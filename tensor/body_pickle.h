/* The arrays inside the objects that body model files of Python 2 hold: chumpy's automatic
 * differentiation shells (the array is the attribute `x`) and scipy's sparse matrices. */
#ifndef TENSOR_BODY_PICKLE_H
#define TENSOR_BODY_PICKLE_H

#include "tensor/pickle.h"

/* *found is false for objects that stand for no array. A sparse matrix becomes dense, row-major. */
Status body_pickle_array(Reader *r, const PickleObject *object, Array *out, bool *found);

#endif
