/* Scoreboard: scores as tables to read and as JSON.
 *
 *     Scoreboard board = {{"before", "after"}, {before, after}, 2};
 *     scoreboard_print(&board, stdout);
 *     TRY(scoreboard_write(&board, "out/eval.json"));
 */
#ifndef CROWDREC_SCOREBOARD_H
#define CROWDREC_SCOREBOARD_H

#include "crowdrec/score.h"

#include <jansson.h>
#include <stdio.h>

/* Some results over the same truth, under their names. */
enum { SCOREBOARD_RESULTS = 2 };
typedef struct {
    const char *name[SCOREBOARD_RESULTS];
    const Score *score[SCOREBOARD_RESULTS];
    int results;
} Scoreboard;

/* Totals, one line a metric that is defined, one column a result. */
void scoreboard_print(const Scoreboard *board, FILE *out);

/* The paper's metrics and the joints' errors, one line a photo. */
void scoreboard_print_photos(const Score *score, FILE *out);

/* "0.8163", or "-" where the row has no such value.  The text lives until eight further calls. */
const char *scoreboard_text(const ScoreRow *row, ScoreMetric metric);

/* A row as an object, what is not defined null.  A new reference. */
json_t *scoreboard_row(const ScoreRow *row);

/* docs/formats.md, eval.json.  Atomic. */
Status scoreboard_write(const Scoreboard *board, const char *path);

#endif
