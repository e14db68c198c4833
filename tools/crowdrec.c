/* crowdrec, the program: sub-commands over the library's public header. */
#include "tools/help.h"
#include "tools/options.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* ---- interrupts ---- */

static volatile int interrupted;

/* The first signal asks for an orderly end; the handler is gone then, so a second one kills. */
static void on_signal(int number) {
    static const char message[] = "\ncrowdrec: interrupted; ends after this step\n";
    (void)number;
    interrupted = 1;
    if (write(STDERR_FILENO, message, sizeof message - 1) < 0) return;
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed stdout must not end a long run */
}

/* Where a standard stream is closed, the next file to be opened would get what is written to it. */
static void open_streams(void) {
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO) fd = open("/dev/null", O_RDWR);
    if (fd >= 0) close(fd);
}

/* ---- commands ---- */

static CrowdrecStatus wrong_usage(const char *command, const char *expected) {
    options_complain("%s: expected %s; see crowdrec %s --help", command, expected, command);
    return CROWDREC_BAD_USAGE;
}

static CrowdrecStatus finish(CrowdrecStatus status) {
    if (status) options_complain("%s", crowdrec_error());
    return status;
}

/* One result line a photo. */
static void on_photo(const CrowdrecPhoto *photo, void *context) {
    (void)context;
    if (photo->status) return;
    printf("%s: people %d, bodies %d, refined %d", photo->path, photo->people, photo->bodies,
           photo->refined);
    if (photo->reason) printf(", iterations %d, ended %s", photo->iterations, photo->reason);
    printf(" -> %s\n", photo->folder);
    fflush(stdout);
}

static CrowdrecStatus run(Command command, Arguments *a) {
    const char *name = help_name(command);
    if (!a->operands) return wrong_usage(name, "at least one photo or folder");
    if (command == COMMAND_REFINE && !a->run.keypoints)
        return wrong_usage(name, "--keypoints FILE");
    if (command == COMMAND_REGRESS || a->no_refine) a->run.until = CROWDREC_REGRESS;
    if (command == COMMAND_POSE) a->run.until = CROWDREC_POSE;
    if (command == COMMAND_DETECT) a->run.until = CROWDREC_DETECT;
    a->run.interrupted = &interrupted;
    a->run.done = on_photo;
    a->run.report = stdout;
    catch_signals();
    return finish(crowdrec_run(a->operand, a->operands, &a->run));
}

static CrowdrecStatus eval(Command command, Arguments *a) {
    if (a->operands != 2) return wrong_usage(help_name(command), "PREDICT and TRUTH");
    a->eval.predict = a->operand[0], a->eval.truth = a->operand[1];
    return finish(crowdrec_eval(&a->eval, stdout));
}

static CrowdrecStatus ablation(Command command, Arguments *a) {
    if (a->operands != 1) return wrong_usage(help_name(command), "one folder with truth.json");
    int iterations[OPTIONS_NUMBERS];
    for (int i = 0; i < a->iterations.count; i++) iterations[i] = (int)a->iterations.value[i];
    CrowdrecAblation o = {.data = a->operand[0],
                          .iterations = a->iterations.count ? iterations : NULL,
                          .iterations_count = a->iterations.count,
                          .conf = a->confs.count ? a->confs.value : NULL,
                          .conf_count = a->confs.count,
                          .joint = a->joint,
                          .run = a->run};
    o.run.interrupted = &interrupted;
    catch_signals();
    return finish(crowdrec_ablation(&o, stdout));
}

static CrowdrecStatus forward(Command command, Arguments *a) {
    if (a->operands != 1) return wrong_usage(help_name(command), "one network");
    a->forward.net = a->operand[0];
    return finish(crowdrec_forward(&a->forward, stdout));
}

static CrowdrecStatus inspect(Command command, Arguments *a) {
    if (a->operands != 1) return wrong_usage(help_name(command), "one file");
    return finish(crowdrec_inspect(a->operand[0], a->all, stdout));
}

static CrowdrecStatus convert(Command command, Arguments *a) {
    if (a->operands != 2) return wrong_usage(help_name(command), "two files, IN and OUT");
    return finish(crowdrec_convert(a->operand[0], a->operand[1], &a->convert, stdout));
}

static CrowdrecStatus body(Command command, Arguments *a) {
    if (a->operands || !a->body) return wrong_usage(help_name(command), "-o FILE.npz and no file");
    return finish(crowdrec_body(a->body, a->vertices, stdout));
}

static CrowdrecStatus synth(Command command, Arguments *a) {
    if (a->operands || !a->synth.output)
        return wrong_usage(help_name(command), "-o DIR and no file");
    if (!a->synth.scenes) a->synth.scenes = 100;
    a->synth.seed = (unsigned long)a->seed;
    a->synth.interrupted = &interrupted;
    catch_signals();
    return finish(crowdrec_synth(&a->synth, stdout));
}

static CrowdrecStatus train(Command command, Arguments *a) {
    static const char *const task[] = {[CROWDREC_TRAIN_POSE] = "pose",
                                       [CROWDREC_TRAIN_MESH] = "mesh",
                                       [CROWDREC_TRAIN_DETECTOR] = "detector"};
    enum { TASKS = sizeof task / sizeof *task };
    int found = 0;
    while (a->operands == 1 && found < TASKS && strcmp(a->operand[0], task[found])) found++;
    if (a->operands != 1 || found == TASKS)
        return wrong_usage(help_name(command), "one task: pose, mesh or detector");
    a->train.task = (CrowdrecTrainTask)found;
    enum { TERMS = sizeof a->train.loss_weights / sizeof *a->train.loss_weights };
    if (a->loss_weights.count && a->loss_weights.count != TERMS)
        return wrong_usage(help_name(command), "five numbers behind --loss-weights");
    for (int i = 0; i < a->loss_weights.count; i++)
        a->train.loss_weights[i] = a->loss_weights.value[i];
    a->train.interrupted = &interrupted;
    catch_signals();
    return finish(crowdrec_train(&a->train, stdout));
}

static CrowdrecStatus doctor(Command command, Arguments *a) {
    if (a->operands) return wrong_usage(help_name(command), "no file");
    return finish(crowdrec_doctor(stdout));
}

static CrowdrecStatus run_command(Command command, Arguments *a) {
    if (a->threads) crowdrec_threads(a->threads);
    if (a->quiet) crowdrec_log(CROWDREC_LOG_ERROR);
    if (a->verbose) crowdrec_log(CROWDREC_LOG_DEBUG);
    if (a->help) return help_command(command, stdout), CROWDREC_OK;
    switch (command) {
    case COMMAND_EVAL: return eval(command, a);
    case COMMAND_ABLATION: return ablation(command, a);
    case COMMAND_FORWARD: return forward(command, a);
    case COMMAND_INSPECT: return inspect(command, a);
    case COMMAND_CONVERT: return convert(command, a);
    case COMMAND_BODY: return body(command, a);
    case COMMAND_SYNTH: return synth(command, a);
    case COMMAND_TRAIN: return train(command, a);
    case COMMAND_DOCTOR: return doctor(command, a);
    default: return run(command, a);
    }
}

/* Results that do not arrive are no success. */
static int flushed(CrowdrecStatus status) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    options_complain("cannot write to standard output");
    return status ? status : CROWDREC_BAD_INPUT;
}

/* What stands alone: help and version; false for a command's name. */
static bool is_general(const char *word) {
    if (!strcmp(word, "--version")) return puts("crowdrec " CROWDREC_VERSION), true;
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) return help_overview(stdout), true;
    return false;
}

int main(int argc, char **argv) {
    Arguments arguments;
    open_streams();
    if (argc < 2) return help_overview(stderr), CROWDREC_BAD_USAGE;
    if (is_general(argv[1])) return flushed(CROWDREC_OK);
    Command command = help_find(argv[1]);
    if (!command) {
        options_complain("no command '%s'; see crowdrec --help", argv[1]);
        return CROWDREC_BAD_USAGE;
    }
    int words = 2; /* of the command's name */
    if (command == COMMAND_EVAL && argc > words && !strcmp(argv[words], "--ablation"))
        command = COMMAND_ABLATION, words++;
    if (!options_parse(command, argc - words, argv + words, &arguments)) return CROWDREC_BAD_USAGE;
    CrowdrecStatus status = run_command(command, &arguments);
    options_free(&arguments);
    return flushed(status);
}
