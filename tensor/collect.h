/* Walks a pickle's tree and hands every array in it to the file being read, under its dotted path:
 * {"model": {"conv.weight": ...}, "steps": [...]} -> "model.conv.weight", "steps.0". */
#ifndef TENSOR_COLLECT_H
#define TENSOR_COLLECT_H

#include "tensor/pickle.h"

/* Adds numpy arrays, torch tensors (whose storages have their bytes) and the arrays inside chumpy
 * and scipy objects.  A leading "module." of a key is dropped.  Of containers that occur several
 * times only the first place counts; more than 64 levels fail. */
Status collect_arrays(Reader *r, const PickleValue *root);

#endif
