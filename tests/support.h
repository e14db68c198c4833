/* What the tests share: where the fixtures are, and comparisons that fail on NaN.
 *
 *     const char *path = support_fixture("fixtures/forward/yolox_s_seed1.npz");   // skips if
 * absent support_close("raw", got, want, n, 3e-5 * absmax);
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

/* Before cmocka, whose macro fail() would hide the function. */
#include "autograd/params.h"
#include "kernels/backend.h"
#include "tensor/file.h"
#include "tensor/tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

/* The fixtures' root, $CROWDREC_FIXTURES or ../shared. */
const char *support_root(void);

/* Root joined with a relative path; skips the running test (counted) if the file is absent.  The
 * text lives until sixteen further calls. */
const char *support_fixture(const char *relative);

/* Where networks run: the cpu, or what $CROWDREC_DEVICE and $CROWDREC_PRECISION ask for (as
 * tools/gpu-check does); the test fails when that is not there. */
const Backend *support_backend(void);

/* What a tolerance that was stated for fp32 is multiplied by on support_backend: 1 on the cpu, 2 in
 * fp32, 400 in TF32 (10 instead of 23 bits of each factor), 2000 in bf16 (7 bits). */
double support_slack(void);

/* Skips the running test (counted) when $CROWDREC_TEST_FAST is set: for what takes minutes under a
 * sanitizer. */
void support_heavy(void);

/* Loads or fails the test with the reason.  Free with array_file_free / json_decref. */
ArrayFile support_arrays(const char *relative);
json_t *support_json(const char *relative);

/* The array of that name, or the test fails.  F32 copy in malloc'ed memory for support_floats. */
const Array *support_array(const ArrayFile *f, const char *name);
float *support_floats(const ArrayFile *f, const char *name);
double *support_doubles(const ArrayFile *f, const char *name);

/* Fails with name, worst index and both values unless |got - want| <= tolerance everywhere. */
void support_close(const char *name, const float *got, const float *want, size_t n,
                   double tolerance);
void support_close64(const char *name, const double *got, const double *want, size_t n,
                     double tolerance);

/* Fails unless |got - want|_2 <= tolerance * |want|_2; prints both norms. */
void support_close_l2(const char *name, const float *got, const float *want, size_t n,
                      double tolerance);

/* Gives every parameter numbers of its own: norms' scales and variances near 1, the rest near 0. */
void support_params(Params *params);

/* A new empty folder under $TMPDIR or /tmp, removed with its content when the program ends. */
const char *support_folder(void);

#endif
