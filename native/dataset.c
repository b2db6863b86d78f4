/* Base classes of `IndexedRecordDataset` and `Reading`: so `dataset[i]` finds the list, and what reads
   it, without a frame of Python's. Whatever is no plain index of a whole list goes to the method
   `_item`, which is the same in Python. */

#include "native.h"

typedef struct {
    PyObject_HEAD
    PyObject *reading;
    PyObject *transform;
} Dataset;

typedef struct {
    PyObject_HEAD
    PyObject *whole;
    PyObject *read;
} Reading;

static PyTypeObject *dataset_type;
static PyTypeObject *reading_type;

static PyTypeObject *known_reading;

static PyObject *item_name;
static PyObject *snapshot_name;

/* What a whole list has at an index. Returns NULL, without an exception, if it is left to Python. */
static PyObject *item_of_whole(const Reading *reading, PyObject *index) {
    PyObject *read = reading->read;
    PyObject *source = reading->whole;
    if (read == NULL || source == NULL || source == Py_None)
        return NULL;
    Py_INCREF(read); /* what runs meanwhile may give the dataset another */
    PyObject *sample = NULL;
    PyObject *snapshot = PyObject_GetAttr(source, snapshot_name);
    if (snapshot != NULL)
        sample = read_sample(read, snapshot, index);
    Py_XDECREF(snapshot);
    Py_DECREF(read);
    return sample;
}

static PyObject *dataset_item(Dataset *self, PyObject *key) {
    if (PyLong_CheckExact(key) && self->transform == Py_None &&
        is_of(self->reading, reading_type, &known_reading)) {
        PyObject *sample = item_of_whole((const Reading *)self->reading, key);
        if (sample != NULL || PyErr_Occurred())
            return sample;
    }
    return PyObject_CallMethodObjArgs((PyObject *)self, item_name, key, NULL);
}

/* The classes. */

static int dataset_traverse(Dataset *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->reading);
    Py_VISIT(self->transform);
    return 0;
}

static int dataset_clear(Dataset *self) {
    Py_CLEAR(self->reading);
    Py_CLEAR(self->transform);
    return 0;
}

static void dataset_dealloc(Dataset *self) {
    PyObject_GC_UnTrack(self);
    dataset_clear(self);
    free_object((PyObject *)self);
}

static PyMemberDef dataset_members[] = {
    {"_reading", T_OBJECT_EX, offsetof(Dataset, reading), 0, NULL},
    {"transform", T_OBJECT_EX, offsetof(Dataset, transform), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int reading_traverse(Reading *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->whole);
    Py_VISIT(self->read);
    return 0;
}

static int reading_clear(Reading *self) {
    Py_CLEAR(self->whole);
    Py_CLEAR(self->read);
    return 0;
}

static void reading_dealloc(Reading *self) {
    PyObject_GC_UnTrack(self);
    reading_clear(self);
    free_object((PyObject *)self);
}

static PyMemberDef reading_members[] = {
    {"whole", T_OBJECT_EX, offsetof(Reading, whole), 0, NULL},
    {"read", T_OBJECT_EX, offsetof(Reading, read), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

TYPE_WITH(Dataset, dataset, "Finds a sample by its position.", Py_mp_subscript, dataset_item)
TYPE(Reading, reading, "Which list is shown, and what reads it.")

int add_dataset_types(PyObject *module) {
    item_name = PyUnicode_InternFromString("_item");
    snapshot_name = PyUnicode_InternFromString("snapshot");
    if (item_name == NULL || snapshot_name == NULL)
        return -1;
    dataset_type = add_type(module, &dataset_spec);
    reading_type = add_type(module, &reading_spec);
    return dataset_type && reading_type ? 0 : -1;
}
