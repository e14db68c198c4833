/* Bodyfile: the arrays of body models and Halpe-26 regressors, read with distrust. */
#ifndef SMPL_BODYFILE_H
#define SMPL_BODYFILE_H

#include "smpl/body.h"

/* Fills all of body but the tables; body->arena owns the arrays, scratch the regressor [26,v] that
 * *halpe gets; name is what messages call the arrays.  Every shape, sum, parent and corner is
 * checked, every number is finite. */
Status bodyfile_read(const ArrayFile *file, const char *name, const char *halpe_path,
                     Arena *scratch, Body *body, const float **halpe);

#endif
