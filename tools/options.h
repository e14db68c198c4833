/* Options: the one home of all flags: what they are called, what they take, where it goes.
 *
 *     Arguments a;
 *     if (!options_parse(COMMAND_RUN, argc, argv, &a)) return CROWDREC_BAD_USAGE;
 *     crowdrec_run(a.operand, a.operands, &a.run);
 *     options_free(&a);
 *
 * `--flag VALUE` and `--flag=VALUE` are the same, `--` ends the flags.  A flag that is unknown,
 * given twice, without its value or with one out of range gets one line on stderr.
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include "crowdrec/crowdrec.h"

#include <stdbool.h>

typedef enum {
    COMMAND_RUN = 1,
    COMMAND_DETECT = 2,
    COMMAND_POSE = 4,
    COMMAND_REGRESS = 8,
    COMMAND_REFINE = 16,
    COMMAND_FORWARD = 32,
    COMMAND_INSPECT = 64,
    COMMAND_CONVERT = 128,
    COMMAND_DOCTOR = 256,
    COMMAND_BODY = 512,
    COMMAND_EVAL = 1024,
    COMMAND_ABLATION = 2048,
    COMMAND_SYNTH = 8192,
    COMMAND_TRAIN = 4096
} Command;

enum { OPTIONS_TAPS = 256, OPTIONS_NUMBERS = 16 };

/* Numbers with commas between. */
typedef struct {
    int count;
    double value[OPTIONS_NUMBERS];
} Numbers;

/* Every flag's place. */
typedef struct {
    CrowdrecOptions run;
    CrowdrecForward forward;
    CrowdrecConvert convert;
    CrowdrecEval eval;
    Numbers iterations, confs; /* of an ablation */
    int joint;
    CrowdrecSynth synth;
    int seed; /* of synth */
    CrowdrecTrain train;
    Numbers loss_weights; /* of train */
    const char *body;     /* file that `body` writes */
    int vertices;
    int threads;
    int help, quiet, verbose, all, no_refine; /* 1 when given */
    const char *tap[OPTIONS_TAPS];
    const char **operand; /* what is no flag, in order */
    int operands;
} Arguments;

/* argv are the words after the command's name.  False after a complaint; texts point into argv. */
bool options_parse(Command command, int argc, char **argv, Arguments *out);
void options_free(Arguments *arguments);

/* All flags of a command, one paragraph each, for --help. */
void options_print(Command command, FILE *out);

/* Prints text in lines of at most 80 columns, each indented. */
void options_wrap(int indent, const char *text, FILE *out);

/* "crowdrec: " and the line on stderr; returns false. */
bool options_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
