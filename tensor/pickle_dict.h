/* Dicts out of pickles: lists of pairs while they are read, then put in order once, so that hostile
 * keys cost no more than sorting; pickle_vm_check_key bounds their length. */
#ifndef TENSOR_PICKLE_DICT_H
#define TENSOR_PICKLE_DICT_H

#include "tensor/pickle.h"

/* Makes keys unique (the later value at the earlier place, as in Python) and sorts for lookups. */
Status pickle_dict_finish(Reader *r, PickleItems *dict);

/* The value whose key is that text (or the same bytes), or NULL. */
const PickleValue *pickle_dict_find(const PickleItems *dict, const char *key);

#endif
