/* safetensors: an 8-byte length, a JSON header, the numbers.  Our own format for weights; the
 * metadata says what they are (net, input convention, licence, recipe).
 * Format: huggingface/safetensors, README, "Format". */
#ifndef TENSOR_SAFETENSORS_H
#define TENSOR_SAFETENSORS_H

#include "tensor/reader.h"

bool safetensors_is(Span file); /* by its first bytes */
Status safetensors_load(Reader *r);
Status safetensors_write(const char *path, const ArrayFile *f);

#endif
