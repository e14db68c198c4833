/* Convert: weights of any readable format -> safetensors, a body -> npz. */
#ifndef CROWDREC_CONVERT_H
#define CROWDREC_CONVERT_H

#include "crowdrec/crowdrec.h"
#include "tensor/error.h"

/* As crowdrec_convert. */
Status convert_file(const char *in, const char *out, const CrowdrecConvert *options, FILE *report);

#endif
