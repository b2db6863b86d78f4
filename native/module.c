/* `dsrecords._native._core`. */

#include "native.h"

#define FAST(name, function, text)                                                                 \
    { name, (PyCFunction)(void (*)(void))function, METH_FASTCALL, text }

static PyMethodDef functions[] = {
    FAST("crc32", crc32_of, "crc32(data, crc=0, way=None): as zlib's; `way` is one of crc32_ways()."),
    {"crc32_ways", crc32_ways, METH_NOARGS, "crc32_ways(): how this machine can compute it."},
    FAST("gather_numbers", gather_numbers, "Numbers of many records, in columns."),
    FAST("gather_heads", gather_heads, "Heads of many records, side by side."),
    FAST("copy_payloads", copy_payloads, "Payloads of one size, verified and side by side."),
    FAST("load_payloads", load_payloads, "Strings or bytes, verified, in a list."),
    FAST("frame_checks", frame_checks, "What the checks of heads must be."),
    FAST("pack_records", pack_records, "Frames of records, one behind the other, and their rows."),
    FAST("encode_strings", encode_strings, "Strings in UTF-8."),
    FAST("walk", walk, "Frames that follow each other, verified, and their rows."),
    FAST("will_need", will_need, "Lets the system begin to read a part of a mapping."),
    FAST("page_in_memory", page_in_memory, "Whether a page of a mapping is in memory."),
    FAST("permute", permute, "Where cells of a Feistel network go."),
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "_core",
    "The compiled twin of the hot paths: see docs/design.md.",
    -1, /* it has state of its own: one interpreter, as NumPy */
    functions,
    NULL,
    NULL,
    NULL,
    NULL,
};

PyMODINIT_FUNC PyInit__core(void) {
    choose_crc32();
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    if (add_snapshot_types(module) < 0 || add_reader_type(module) < 0 ||
        add_dataset_types(module) < 0 || add_encoder_types(module) < 0 ||
        add_writer_types(module) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
