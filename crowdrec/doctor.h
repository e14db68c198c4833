/* Doctor: what this build and this machine offer, one line each. */
#ifndef CROWDREC_DOCTOR_H
#define CROWDREC_DOCTOR_H

#include "tensor/error.h"

#include <stdio.h>

/* As crowdrec_doctor. */
Status doctor_report(FILE *out);

#endif
