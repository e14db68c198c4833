/* Evaluate: results in files held against the truth in a file.
 *
 *     CrowdrecEval o = {.predict = "out", .truth = "world/truth.json"};
 *     Status status = evaluate_run(&o, stdout);
 */
#ifndef CROWDREC_EVALUATE_H
#define CROWDREC_EVALUATE_H

#include "crowdrec/crowdrec.h"
#include "tensor/error.h"

Status evaluate_run(const CrowdrecEval *options, FILE *report);

#endif
