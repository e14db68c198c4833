#include "crowdrec/synth.h"

#include "crowdrec/degrade.h"
#include "crowdrec/jpeg.h"
#include "crowdrec/output.h"
#include "crowdrec/paint.h"
#include "crowdrec/truth.h"
#include "smpl/procedural.h"
#include "tensor/log.h"
#include "tensor/parallel.h"

#include <stdlib.h>
#include <string.h>

struct Synth {
    SceneWish wish;
    uint64_t seed;
    Body *body;
    Poser *poser;
};

/* Clothes and seats refer to places on the made-up body's template. */
static Status check_body(const char *path, const Body *body) {
    float low = INFINITY, high = -INFINITY;
    for (int v = 0; v < body->vertices; v++) {
        low = fminf(low, body->v_template[3 * v + 1]);
        high = fmaxf(high, body->v_template[3 * v + 1]);
    }
    if (body->faces <= UINT16_MAX && fabsf(low + 1.14f) < 0.02f && fabsf(high - 0.56f) < 0.02f)
        return OK;
    return fail(ERR_MODEL,
                "%s: not the made-up body, or more than 65535 triangles; make one with "
                "`crowdrec body`",
                path);
}

Status synth_open(const SynthChoice *choice, Synth **out) {
    TRY(scene_check(&choice->wish));
    Body *body = NULL;
    TRY(body_load(choice->body, NULL, &body));
    Status status = check_body(choice->body, body);
    Synth *s = status == OK ? calloc(1, sizeof *s) : NULL;
    if (!s) {
        body_free(body);
        return status ? status : fail(ERR_MEMORY, "no memory for a world");
    }
    *s = (Synth){choice->wish, choice->seed, body, poser_new(body)};
    *out = s;
    return OK;
}

void synth_close(Synth *synth) {
    if (!synth) return;
    poser_free(synth->poser);
    body_free(synth->body);
    free(synth);
}

/* ---- a photo ---- */

static void keep_seen(Scene *s) {
    int kept = 0;
    for (int i = 0; i < s->people; i++) {
        const ScenePerson *p = &s->person[i];
        if (p->visible < (float)SYNTH_VISIBLE || p->seen < 4 * SYNTH_PIXELS) continue;
        s->person[kept++] = *p;
    }
    s->people = kept;
}

Status synth_photo(const Synth *synth, int number, SynthPhoto *out) {
    uint64_t seed = rng_splitmix(rng_stream("synth", synth->seed) + (uint64_t)number);
    *out = (SynthPhoto){0};
    scene_make(&synth->wish, seed, synth->poser, &out->scene);
    Status status = paint_scene(&out->scene, synth->poser, &out->photo);
    if (status != OK) return scene_free(&out->scene), status;
    degrade_photo(&out->photo, out->scene.grain);
    keep_seen(&out->scene);
    return OK;
}

void synth_photo_free(SynthPhoto *photo) {
    image_free(&photo->photo);
    scene_free(&photo->scene);
}

/* ---- a folder of photos ---- */

enum { BATCH = 64, ALONE_PIXELS = 1 << 22 };

/* One photo of a batch, made and written by one thread. */
typedef struct {
    SynthPhoto photo;
    Status status; /* ERR_INTERRUPTED: not made */
    char reason[512];
} Slot;

typedef struct {
    const CrowdrecSynth *options;
    const Synth *synth;
    Truth *truth;
    Slot slot[BATCH];
    int done;
    long people;
} Run;

static bool is_jpeg(const CrowdrecSynth *o) { return o->photos && !strcmp(o->photos, "jpg"); }

static Status make_one(const Run *r, int number, Slot *slot) {
    char name[TRUTH_NAME], path[4096];
    const CrowdrecSynth *o = r->options;
    TRY(synth_photo(r->synth, number, &slot->photo));
    truth_name(number, is_jpeg(o), name);
    snprintf(path, sizeof path, "%s/images/%s", o->output, name);
    if (is_jpeg(o)) return jpeg_write(path, &slot->photo.photo, 93);
    return image_write_png(path, &slot->photo.photo);
}

static bool interrupted(const CrowdrecSynth *o) { return o->interrupted && *o->interrupted; }

static void fill_slot(const Run *r, int number, Slot *slot) {
    *slot = (Slot){.status = ERR_INTERRUPTED};
    if (interrupted(r->options)) return;
    slot->status = make_one(r, number, slot);
    if (slot->status) snprintf(slot->reason, sizeof slot->reason, "%s", error_reason());
    image_free(&slot->photo.photo);
}

/* Small photos are made side by side, large ones one after another by all threads. */
static void fill_batch(Run *r, int first, int count) {
    if ((long)r->options->width * r->options->height > ALONE_PIXELS) {
        for (int i = 0; i < count; i++) fill_slot(r, first + i, &r->slot[i]);
        return;
    }
    PARALLEL_FOR_DYNAMIC
    for (int i = 0; i < count; i++) fill_slot(r, first + i, &r->slot[i]);
}

/* Up to the first photo that an interrupt kept from being made, which is no failure. */
static Status take_batch(Run *r, int first, int count) {
    Status status = OK;
    for (int i = 0; i < count; i++) {
        Slot *s = &r->slot[i];
        if (status == OK && s->status)
            status =
                s->status == ERR_INTERRUPTED ? ERR_INTERRUPTED : fail(s->status, "%s", s->reason);
        if (status == OK) status = truth_add(r->truth, first + i, &s->photo.scene);
        if (status == OK) r->people += s->photo.scene.people, r->done++;
        scene_free(&s->photo.scene);
    }
    return status == ERR_INTERRUPTED ? OK : status;
}

static Status make_photos(Run *r) {
    const CrowdrecSynth *o = r->options;
    int batch = 4 * parallel_threads() < BATCH ? 4 * parallel_threads() : BATCH;
    while (r->done < o->scenes) {
        if (interrupted(o)) return OK;
        if (!r->done) TRY(truth_remove(o->output));
        int first = r->done, count = o->scenes - first < batch ? o->scenes - first : batch;
        fill_batch(r, first, count);
        TRY(take_batch(r, first, count));
        log_debug("synth: %d of %d photos", r->done, o->scenes);
    }
    return OK;
}

static Status check_options(const CrowdrecSynth *o) {
    if (!o->output) return fail(ERR_USAGE, "synth: no output folder");
    if (o->scenes < 1 || o->scenes > 1000000)
        return fail(ERR_USAGE, "synth: %d scenes, expected 1 to 1000000", o->scenes);
    if (o->photos && strcmp(o->photos, "png") && strcmp(o->photos, "jpg"))
        return fail(ERR_USAGE, "synth: photos '%s', expected png or jpg", o->photos);
    if (is_jpeg(o) && !jpeg_writes())
        return fail(ERR_USAGE, "synth: this build writes no jpg; take --photos png");
    return OK;
}

static Status run(Run *r, const char *body, const SynthChoice *choice) {
    const CrowdrecSynth *o = r->options;
    char images[4096];
    snprintf(images, sizeof images, "%s/images", o->output);
    TRY(output_prepare(o->output));
    TRY(output_prepare(images));
    TRY(procedural_write(body, 0, NULL));
    Synth *synth;
    TRY(synth_open(choice, &synth));
    r->synth = synth;
    Status status = truth_begin(o->output, &choice->wish, is_jpeg(o), &r->truth);
    if (status == OK) {
        status = make_photos(r);
        if (status == OK && r->done)
            status = truth_commit(r->truth);
        else
            truth_abandon(r->truth);
    }
    synth_close(synth);
    return status;
}

Status synth_run(const CrowdrecSynth *options, FILE *report) {
    char body[4096];
    CrowdrecSynth o = *options;
    if (!o.width && !o.height) o.width = 1280, o.height = 720;
    if (!o.people[0] && !o.people[1]) o.people[0] = 5, o.people[1] = 40;
    TRY(check_options(&o));
    if (strlen(o.output) > sizeof body - 64)
        return fail(ERR_USAGE, "%.40s...: the path is too long", o.output);
    snprintf(body, sizeof body, "%s/body.npz", o.output);
    SynthChoice choice = {.wish = {.width = o.width,
                                   .height = o.height,
                                   .focal = o.focal,
                                   .people = {o.people[0], o.people[1]},
                                   .tall = {o.tall[0], o.tall[1]}},
                          .seed = o.seed,
                          .body = body};
    TRY(scene_check(&choice.wish));
    Run *r = calloc(1, sizeof *r);
    if (!r) return fail(ERR_MEMORY, "no memory for a batch of photos");
    r->options = &o;
    Status status = run(r, body, &choice);
    if (status == OK && report)
        fprintf(report, "%s: %d photos, %ld people\n", o.output, r->done, r->people);
    if (status == OK && r->done < o.scenes)
        status =
            fail(ERR_INTERRUPTED, "synth: interrupted after %d of %d photos", r->done, o.scenes);
    free(r);
    return status;
}
