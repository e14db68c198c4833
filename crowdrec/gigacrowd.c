#include "crowdrec/gigacrowd.h"

#include "crowdrec/jsonfile.h"
#include "crowdrec/photos.h"

static json_t *person_json(const Person *p) {
    return json_pack("{s:o, s:o, s:o, s:f, s:s}", "pose", jsonfile_floats(p->pose, CROWD_POSE),
                     "shape", jsonfile_floats(p->betas, CROWD_BETAS), "trans_cam",
                     jsonfile_floats(p->trans, 3), "scale_smpl", 1.0, "gender", "neutral");
}

static json_t *photo_json(const Crowd *crowd) {
    const Camera *c = &crowd->camera;
    json_t *people = json_array();
    for (int i = 0; i < crowd->count; i++)
        if (crowd->person[i].flags & PERSON_HAS_BODY)
            json_array_append_new(people, person_json(&crowd->person[i]));
    return json_pack("{s:[[f,i,f],[i,f,f],[i,i,i]], s:o}", "Intrinsic_matrix", c->focal, 0, c->cx,
                     0, c->focal, c->cy, 0, 0, 1, "person_list", people);
}

json_t *gigacrowd_json(const Crowd *crowd, int count) {
    json_t *root = json_object();
    for (int i = 0; i < count; i++) {
        json_t *name = jsonfile_text(photos_name(crowd[i].photo));
        json_object_set_new(root, json_string_value(name), photo_json(&crowd[i]));
        json_decref(name);
    }
    return root;
}
