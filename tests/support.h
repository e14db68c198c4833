/* What the tests share: fixtures, a folder to write to, and comparisons that fail on NaN.
 *
 *     ArrayFile f = support_arrays("fixtures/forward/yolox_s_seed1.npz"); // skips if absent
 *     float *want = support_floats(&f, "raw");
 *     support_close("raw", got, want, n, 3e-5 * absmax);
 *
 * Whatever is missing fails the test that asks for it.
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
 * text lives as long as the program. */
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
json_t *support_read_json(const char *path); /* of any file */

/* The entry of that name, the number of that name, number i of an array, or the test fails. */
json_t *support_get(const json_t *object, const char *key);
double support_number(const json_t *object, const char *key);
double support_number_at(const json_t *array, size_t i);

/* The array of that name, or the test fails.  F32 copy in malloc'ed memory for support_floats. */
const Array *support_array(const ArrayFile *f, const char *name);
float *support_floats(const ArrayFile *f, const char *name);
double *support_doubles(const ArrayFile *f, const char *name);

/* Fails with name, worst index and both values unless |got - want| <= tolerance everywhere. */
void support_close(const char *name, const float *got, const float *want, size_t n,
                   double tolerance);
void support_close64(const char *name, const double *got, const double *want, size_t n,
                     double tolerance);
void support_near(const char *name, double got, double want, double tolerance);

/* Gives every parameter numbers of its own: norms' scales and variances near 1, the rest near 0. */
void support_params(Params *params);

/* A new empty folder under $TMPDIR or /tmp, removed with its content when the program ends. */
const char *support_folder(void);

/* That folder joined with a name.  The text lives as long as the program. */
const char *support_in_folder(const char *name);

/* Writes a file of that name there and gives its path. */
const char *support_write(const char *name, const void *data, size_t size);
const char *support_write_text(const char *name, const char *text);

#endif
