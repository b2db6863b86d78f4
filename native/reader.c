/* `Reader`: reads one sample, as a `Plan` says. Its method `read` is what `Plan.read` is bound to
   where the plan has only what C knows; all else goes to `Plan`'s own method. */

#include "native.h"

/* How the value of a field is made. */
enum {
    NUMBER = 0,
    TEXT = 1,
    BYTES = 2,
    ARRAY = 3,   /* of one shape; `make` is (ndarray, shape, dtype, nbytes) */
    PAYLOAD = 4, /* whatever `make` makes of a part of the log */
};

typedef struct {
    int kind;
    char code;            /* of a number, in `struct` */
    int may_be_none;      /* of a payload */
    Py_ssize_t at;        /* of a number: its offset in a head; of a payload: which one it is */
    Py_ssize_t width;     /* of a number; of an array, its bytes */
    Py_ssize_t presence;  /* offset of the byte that is 0 if a number is None; -1: it never is */
    PyObject *make;       /* what makes the value of a number or payload; NULL: nothing */
    PyObject *shape;      /* of an array, as the next one */
    PyObject *dtype;
    PyObject *key; /* of the field; it is held by the reader's tuple */
} Step;

enum { VALUE = 0, TUPLE = 1, DICT = 2 };

typedef struct {
    PyObject_HEAD
    PyObject *schema;
    PyObject *keys;    /* of the fields, a tuple */
    PyObject *slowly;  /* called with the list and the index, for what is unusual */
    PyObject *blank;   /* a dict of the keys, of which samples are copies; NULL: of nothing */
    Layout layout;
    uint64_t need;
    uint64_t mask;
    uint64_t proven; /* what is to be remembered once that is verified */
    uint8_t *wanted; /* of each payload, whether it is */
    Py_ssize_t payloads; /* how many, from the first on, the wanted ones lie in */
    int shape;
    int copied;
    Py_ssize_t count;
    Step *steps;
} Reader;

#define FEW_KEYS 5 /* CPython's smallest dict has room for them: it is as fast without a copy */
#define MOST_PAYLOADS 1024 /* that a plan for C may lie in: more are left to Python */

/* Where the payloads of a record begin, which is no revision. Returns -1 if one does not lie in the
   log. */
static int find_payloads(const Reader *self, const Snapshot *snapshot, const Record *record,
                         uint64_t *starts, uint64_t *sizes) {
    uint64_t length = (uint64_t)snapshot->log.buffer.len;
    uint64_t start = record->offset + (uint64_t)self->layout.head_size;
    if (record->offset > length || start > length)
        return -1;
    for (Py_ssize_t k = 0; k < self->payloads; k++) {
        uint64_t size = load64(record->head + 16 + 8 * k);
        starts[k] = start;
        sizes[k] = size;
        if (size == NONE_SIZE)
            continue;
        if (size > length - start)
            return -1;
        start += (size + 7) & ~(uint64_t)7;
        if (start > length)
            return -1;
    }
    return 0;
}

/* Compares the checksum of a payload. Other threads run meanwhile if it is large: what it lies in
   is held by a reference. */
static int is_right_payload(const Snapshot *snapshot, uint64_t start, uint64_t size,
                            uint32_t checksum) {
    const uint8_t *data = (const uint8_t *)snapshot->log.buffer.buf + start;
    if (size < LARGE)
        return crc32(0, data, (size_t)size) == checksum;
    PyObject *held = snapshot->log.object;
    uint32_t crc;
    Py_INCREF(held);
    Py_BEGIN_ALLOW_THREADS
    crc = crc32(0, data, (size_t)size);
    Py_END_ALLOW_THREADS
    Py_DECREF(held);
    return crc == checksum;
}

/* Verifies what is not known of a record. Returns -1 if it is not right, or not for C. */
static int verify(const Reader *self, Snapshot *snapshot, Py_ssize_t i, const Record *record,
                  const uint64_t *starts, const uint64_t *sizes) {
    if (snapshot->mode < VERIFY)
        return -1;
    uint64_t length = (uint64_t)snapshot->log.buffer.len;
    if (!(record->known & HEAD_PART) && !is_right_head(snapshot, &self->layout, i, record, length))
        return -1;
    /* Of a head that is known it is still to be asked whether it is a revision's. */
    int kind = kind_of_word(load64(record->head + 8));
    if (kind != RECORD && kind != PENDING)
        return -1;
    if (snapshot->mode != TRUST) {
        const uint8_t *checksums = record->head + 16 + 8 * self->layout.payload_count;
        for (Py_ssize_t k = 0; k < self->payloads; k++) {
            /* As `verification.payload_part`. */
            uint64_t part = k < SINGLE_PAYLOADS ? (uint64_t)4 << k : REST_PART;
            if (sizes[k] == NONE_SIZE || !self->wanted[k] || (record->known & part))
                continue;
            uint32_t checksum = load32(checksums + 4 * k);
            if (!is_right_payload(snapshot, starts[k], sizes[k], checksum))
                return -1;
        }
    }
    /* They are opened anew, as another thread may have made room meanwhile. */
    return open_windows(snapshot) < 0 ? -1 : remember(snapshot, i, self->proven);
}

static PyObject *make_number(const Step *step, const Record *record) {
    if (step->presence >= 0 && record->head[step->presence] == 0) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    PyObject *number = number_at(record->head + step->at, step->code, step->width);
    if (step->make == NULL || number == NULL)
        return number;
    PyObject *value = PyObject_CallFunctionObjArgs(step->make, number, NULL);
    Py_DECREF(number);
    return value;
}

static PyObject *make_array(const Reader *self, const Step *step, PyObject *data, uint64_t start) {
    PyObject *offset = PyLong_FromUnsignedLongLong(start);
    if (offset == NULL)
        return NULL;
    PyObject *array =
        PyObject_CallFunctionObjArgs(step->make, step->shape, step->dtype, data, offset, NULL);
    Py_DECREF(offset);
    if (array == NULL || !self->copied)
        return array;
    PyObject *copy = PyObject_CallMethod(array, "copy", NULL);
    Py_DECREF(array);
    return copy;
}

/* Bytes of their own. While many are copied, other threads run. */
static PyObject *copy_bytes(PyObject *data, const uint8_t *from, uint64_t size) {
    if (size < LARGE)
        return PyBytes_FromStringAndSize((const char *)from, (Py_ssize_t)size);
    PyObject *copy = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (copy == NULL)
        return NULL;
    char *to = PyBytes_AsString(copy);
    Py_INCREF(data);
    Py_BEGIN_ALLOW_THREADS
    memcpy(to, from, (size_t)size);
    Py_END_ALLOW_THREADS
    Py_DECREF(data);
    return copy;
}

/* Returns NULL, with or without an exception, if the value is left to Python. */
static PyObject *make_payload(const Reader *self, const Step *step, PyObject *data,
                              const uint8_t *log, uint64_t start, uint64_t size) {
    if (size == NONE_SIZE) {
        if (!step->may_be_none)
            return NULL;
        Py_INCREF(Py_None);
        return Py_None;
    }
    if (step->kind == TEXT)
        return PyUnicode_DecodeUTF8((const char *)log + start, (Py_ssize_t)size, NULL);
    if (step->kind == BYTES && self->copied)
        return copy_bytes(data, log + start, size);
    if (step->kind == ARRAY) {
        if (size != (uint64_t)step->width)
            return NULL;
        return make_array(self, step, data, start);
    }
    PyObject *part = part_of(data, start, size);
    if (part == NULL || step->kind == BYTES)
        return part;
    PyObject *copied = self->copied ? Py_True : Py_False;
    PyObject *value = PyObject_CallFunctionObjArgs(step->make, part, copied, NULL);
    Py_DECREF(part);
    return value;
}

/* All that a record is read as. Returns NULL, with or without an exception, if it is left to
   Python. The memory of `log` and of the head is held by the caller. */
static PyObject *make_sample(const Reader *self, PyObject *data, const uint8_t *log,
                             const Record *record, const uint64_t *starts, const uint64_t *sizes) {
    PyObject *sample = NULL;
    if (self->shape == TUPLE)
        sample = PyTuple_New(self->count);
    else if (self->shape == DICT)
        sample = self->blank == NULL ? PyDict_New() : PyDict_Copy(self->blank);
    if (sample == NULL && self->shape != VALUE)
        return NULL;
    for (Py_ssize_t k = 0; k < self->count; k++) {
        const Step *step = &self->steps[k];
        PyObject *value;
        if (step->kind == NUMBER)
            value = make_number(step, record);
        else
            value = make_payload(self, step, data, log, starts[step->at], sizes[step->at]);
        if (value == NULL) {
            Py_XDECREF(sample);
            return NULL;
        }
        if (self->shape == VALUE)
            return value;
        int failed;
        if (self->shape == TUPLE) {
            failed = PyTuple_SetItem(sample, k, value);
        } else {
            failed = PyDict_SetItem(sample, step->key, value);
            Py_DECREF(value);
        }
        if (failed < 0) {
            Py_DECREF(sample);
            return NULL;
        }
    }
    return sample;
}

/* The same, whatever runs meanwhile: functions of Python, or other threads while bytes are copied,
   may give the list other memory. So all that is looked at is held. */
static PyObject *make_held_sample(const Reader *self, Snapshot *snapshot, const Record *record,
                                  const uint64_t *starts, const uint64_t *sizes) {
    PyObject *data = snapshot->log.object;
    PyObject *rows = ((Entries *)snapshot->entries)->rows.object;
    const uint8_t *log = snapshot->log.buffer.buf;
    Py_INCREF(data);
    Py_INCREF(rows);
    PyObject *sample = make_sample(self, data, log, record, starts, sizes);
    Py_DECREF(rows);
    Py_DECREF(data);
    return sample;
}

/* Returns NULL, with or without an exception, if the record is left to Python. */
static PyObject *read_quickly(const Reader *self, Snapshot *snapshot, Py_ssize_t i) {
    uint64_t starts[MOST_PAYLOADS];
    uint64_t sizes[MOST_PAYLOADS];
    Record record;
    if (snapshot->schema != self->schema || snapshot->mode == NOTHING ||
        open_windows(snapshot) < 0)
        return NULL;
    guess_record(snapshot, &self->layout, i);
    if (find_record(snapshot, &self->layout, i, &record) < 0)
        return NULL;
    if (self->payloads && find_payloads(self, snapshot, &record, starts, sizes) < 0)
        return NULL;
    int is_verified = (record.known & self->mask) == self->need && snapshot->mode != VERIFY_ALL;
    if (is_verified)
        return make_held_sample(self, snapshot, &record, starts, sizes);
    /* Verifying may let other threads run: what it looked at is held from before to the end. */
    PyObject *data = snapshot->log.object;
    PyObject *rows = ((Entries *)snapshot->entries)->rows.object;
    const uint8_t *log = snapshot->log.buffer.buf;
    PyObject *sample = NULL;
    Py_INCREF(data);
    Py_INCREF(rows);
    if (verify(self, snapshot, i, &record, starts, sizes) == 0)
        sample = make_sample(self, data, log, &record, starts, sizes);
    Py_DECREF(rows);
    Py_DECREF(data);
    return sample;
}

/* read(snapshot, index) */
static PyObject *reader_read(Reader *self, PyObject *const *arguments, Py_ssize_t count) {
    if (expect(count, 2, "read") < 0)
        return NULL;
    Snapshot *snapshot = snapshot_of(arguments[0]);
    if (snapshot != NULL && PyLong_CheckExact(arguments[1])) {
        Py_ssize_t i = PyLong_AsSsize_t(arguments[1]);
        PyObject *sample = NULL;
        if (i >= 0)
            sample = read_quickly(self, snapshot, i);
        if (sample != NULL)
            return sample;
        if (PyErr_Occurred() && !is_left_to_python())
            return NULL;
    }
    return PyObject_CallFunctionObjArgs(self->slowly, arguments[0], arguments[1], NULL);
}

/* What `read`, an attribute of a list that is shown, makes of a record: the same as a call of it, but
   without one where it is a method of ours. */
PyObject *read_sample(PyObject *read, PyObject *snapshot, PyObject *index) {
    PyCFunction ours = (PyCFunction)(void (*)(void))reader_read;
    if (!PyCFunction_Check(read) || PyCFunction_GetFunction(read) != ours)
        return PyObject_CallFunctionObjArgs(read, snapshot, index, NULL);
    Reader *reader = (Reader *)PyCFunction_GetSelf(read);
    PyObject *arguments[] = {snapshot, index};
    return reader_read(reader, arguments, 2);
}

/* `Run`: the samples at some positions, each made when it is asked for. It ends before the first that
   is left to Python, which is number `done`. */
typedef struct {
    PyObject_HEAD
    Reader *reader;
    PyObject *snapshot;
    Positions positions;
    Py_ssize_t done;
    int is_busy; /* with a sample: another thread may come meanwhile */
    /* Of numbers alone, the heads of several records are found and verified together. Where they lie
       is held by two buffers of our own, as anything may run between two samples. */
    Py_ssize_t first; /* whose head is the first of them */
    Py_ssize_t found; /* behind the last */
    Record heads[AHEAD];
    Py_buffer log;
    Py_buffer rows;
} Run;

static PyTypeObject *run_type;

static void release(Py_buffer *buffer) {
    if (buffer->obj != NULL)
        PyBuffer_Release(buffer);
}

/* Finds the heads of the next records. Returns -1 if the next one is left to Python. */
static int find_next(Run *self, Snapshot *snapshot) {
    const Reader *reader = self->reader;
    Py_ssize_t first = self->done;
    Py_ssize_t count = self->positions.count - first;
    if (count > AHEAD)
        count = AHEAD;
    if (snapshot->schema != reader->schema || snapshot->mode == NOTHING ||
        open_windows(snapshot) < 0)
        return -1;
    release(&self->log);
    release(&self->rows);
    if (get_buffer(snapshot->log.object, &self->log, 0) < 0 ||
        get_buffer(((Entries *)snapshot->entries)->rows.object, &self->rows, 0) < 0)
        return -1;
    uint64_t end = (uint64_t)snapshot->log.buffer.len;
    count = find_heads(snapshot, &reader->layout, &self->positions, first, count, end, self->heads);
    count = remember_heads(snapshot, &self->positions, first, count, self->heads);
    self->first = first;
    self->found = first + count;
    return count > 0 ? 0 : -1;
}

static PyObject *next_sample(Run *self, Snapshot *snapshot) {
    const Reader *reader = self->reader;
    if (reader->payloads)
        return read_quickly(reader, snapshot, (Py_ssize_t)self->positions.array[self->done]);
    if (self->done >= self->found && find_next(self, snapshot) < 0)
        return NULL;
    /* Numbers are made of their heads alone. */
    return make_sample(reader, NULL, NULL, &self->heads[self->done - self->first], NULL, NULL);
}

static PyObject *run_next(Run *self) {
    if (self->done >= self->positions.count)
        return NULL;
    if (self->is_busy) {
        PyErr_SetString(PyExc_ValueError, "another thread is in this loop");
        return NULL;
    }
    self->is_busy = 1;
    PyObject *sample = next_sample(self, (Snapshot *)self->snapshot);
    self->is_busy = 0;
    if (sample != NULL)
        self->done++;
    else if (PyErr_Occurred())
        (void)is_left_to_python();
    return sample;
}

/* samples(snapshot, positions): those at these positions (int64), up to the first that is left to
   Python. */
static PyObject *reader_samples(Reader *self, PyObject *const *arguments, Py_ssize_t count) {
    if (expect(count, 2, "samples") < 0)
        return NULL;
    if (snapshot_of(arguments[0]) == NULL) {
        PyErr_SetString(PyExc_TypeError, "no list of records");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(run_type, Py_tp_alloc);
    Run *run = (Run *)allocate(run_type, 0);
    if (run == NULL)
        return NULL;
    Py_buffer *buffer = &run->positions.buffer;
    if (get_buffer(arguments[1], buffer, 0) < 0) {
        buffer->obj = NULL;
        Py_DECREF((PyObject *)run);
        return NULL;
    }
    run->positions.array = buffer->buf;
    run->positions.count = buffer->len / 8;
    Py_INCREF((PyObject *)self);
    run->reader = self;
    Py_INCREF(arguments[0]);
    run->snapshot = arguments[0];
    return (PyObject *)run;
}

static int run_traverse(Run *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT((PyObject *)self->reader);
    Py_VISIT(self->snapshot);
    return 0;
}

static void run_dealloc(Run *self) {
    PyObject_GC_UnTrack(self);
    release(&self->positions.buffer);
    release(&self->log);
    release(&self->rows);
    Py_XDECREF((PyObject *)self->reader);
    Py_XDECREF(self->snapshot);
    free_object((PyObject *)self);
}

static PyMemberDef run_members[] = {
    {"done", T_PYSSIZET, offsetof(Run, done), READONLY, "How many samples it has made."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot run_slots[] = {
    {Py_tp_doc, "Samples, each made when it is asked for."},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, run_next},
    {Py_tp_members, run_members},
    {Py_tp_traverse, run_traverse},
    {Py_tp_dealloc, run_dealloc},
    {0, NULL},
};

static PyType_Spec run_spec = {
    "dsrecords._native._core.Run",
    sizeof(Run),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    run_slots,
};

/* Making one. */

/* How many bytes `number_at` reads of a number with this code; 0: it knows none. */
static Py_ssize_t width_of(char code, Py_ssize_t width) {
    switch (code) {
    case '?':
    case 'b':
    case 'B':
        return 1;
    case 'h':
    case 'H':
    case 'e':
        return 2;
    case 'i':
    case 'I':
    case 'f':
        return 4;
    case 'q':
    case 'Q':
    case 'd':
        return 8;
    case 's':
        return width;
    default:
        return 0;
    }
}

static int set_step(Step *step, PyObject *given, const Layout *layout, Py_ssize_t payloads) {
    PyObject *make;
    PyObject *shape;
    PyObject *dtype;
    int code;
    if (!PyTuple_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "a step is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(given, "iiinnnOOO", &step->kind, &code, &step->may_be_none, &step->at,
                          &step->width, &step->presence, &make, &shape, &dtype))
        return -1;
    step->code = (char)code;
    int is_number = step->kind == NUMBER;
    Py_ssize_t end = is_number ? layout->head_size - step->width : payloads - 1;
    if (is_number && (step->width < 1 || step->width != width_of(step->code, step->width)))
        end = -1;
    if (step->kind < NUMBER || step->kind > PAYLOAD || step->width < 0 || step->at < 0 ||
        step->at > end || (is_number && step->presence >= layout->head_size)) {
        PyErr_SetString(PyExc_ValueError, "a step outside of the head");
        return -1;
    }
    if (make != Py_None) {
        Py_INCREF(make);
        step->make = make;
    }
    Py_INCREF(shape);
    step->shape = shape;
    Py_INCREF(dtype);
    step->dtype = dtype;
    return 0;
}

/* A copy of it has its size from the beginning, and its keys in their places. */
static PyObject *make_blank(PyObject *keys) {
    PyObject *blank = PyDict_New();
    for (Py_ssize_t k = 0; blank != NULL && k < PyTuple_Size(keys); k++)
        if (PyDict_SetItem(blank, PyTuple_GetItem(keys, k), Py_None) < 0)
            Py_CLEAR(blank);
    return blank;
}

static PyObject *reader_new(PyTypeObject *type, PyObject *arguments, PyObject *names) {
    (void)names;
    PyObject *schema;
    PyObject *keys;
    PyObject *steps;
    PyObject *slowly;
    Layout layout;
    Py_ssize_t payloads;
    unsigned long long need;
    unsigned long long mask;
    unsigned long long proven;
    int shape;
    int copied;
    if (!PyArg_ParseTuple(arguments, "OO!O!OnnnKKKip", &schema, &PyTuple_Type, &keys, &PyTuple_Type,
                          &steps, &slowly, &layout.head_size, &layout.payload_count, &payloads,
                          &need, &mask, &proven, &shape, &copied))
        return NULL;
    Py_ssize_t count = PyTuple_Size(steps);
    if (payloads < 0 || payloads > layout.payload_count || payloads > MOST_PAYLOADS || count < 1 ||
        PyTuple_Size(keys) != count || layout.payload_count < 0 || layout.payload_count > 4096 ||
        layout.head_size < 16 + 12 * layout.payload_count || shape < VALUE || shape > DICT) {
        PyErr_SetString(PyExc_ValueError, "no plan for C");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Reader *self = (Reader *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(schema);
    self->schema = schema;
    Py_INCREF(keys);
    self->keys = keys;
    Py_INCREF(slowly);
    self->slowly = slowly;
    self->layout = layout;
    self->payloads = payloads;
    self->need = need;
    self->mask = mask;
    self->proven = proven;
    self->shape = shape;
    self->copied = copied;
    self->steps = PyMem_Calloc((size_t)count, sizeof(Step));
    self->wanted = PyMem_Calloc((size_t)payloads + 1, 1);
    if (self->steps == NULL || self->wanted == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    if (shape == DICT && count > FEW_KEYS && (self->blank = make_blank(keys)) == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    self->count = count;
    for (Py_ssize_t k = 0; k < count; k++) {
        if (set_step(&self->steps[k], PyTuple_GetItem(steps, k), &layout, payloads) < 0) {
            Py_DECREF(self);
            return NULL;
        }
        self->steps[k].key = PyTuple_GetItem(keys, k);
        if (self->steps[k].kind != NUMBER)
            self->wanted[self->steps[k].at] = 1;
    }
    return (PyObject *)self;
}

static int reader_traverse(Reader *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->schema);
    Py_VISIT(self->keys);
    Py_VISIT(self->slowly);
    Py_VISIT(self->blank);
    for (Py_ssize_t k = 0; k < self->count; k++) {
        Py_VISIT(self->steps[k].make);
        Py_VISIT(self->steps[k].shape);
        Py_VISIT(self->steps[k].dtype);
    }
    return 0;
}

/* Only `slowly` can lead back here. The rest stays: somebody may still call this. */
static int reader_clear(Reader *self) {
    PyObject *slowly = self->slowly;
    Py_INCREF(Py_None);
    self->slowly = Py_None;
    Py_XDECREF(slowly);
    return 0;
}

static void reader_dealloc(Reader *self) {
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->schema);
    Py_CLEAR(self->keys);
    Py_CLEAR(self->slowly);
    Py_CLEAR(self->blank);
    for (Py_ssize_t k = 0; k < self->count; k++) {
        Py_CLEAR(self->steps[k].make);
        Py_CLEAR(self->steps[k].shape);
        Py_CLEAR(self->steps[k].dtype);
    }
    PyMem_Free(self->steps);
    PyMem_Free(self->wanted);
    free_object((PyObject *)self);
}

static PyMethodDef reader_methods[] = {
    {"read", (PyCFunction)(void (*)(void))reader_read, METH_FASTCALL,
     "read(snapshot, index): what the plan reads of one record."},
    {"samples", (PyCFunction)(void (*)(void))reader_samples, METH_FASTCALL,
     "samples(snapshot, positions): an iterator of many, up to one that Python is to read."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "Reads one sample, as a plan says."},
    {Py_tp_new, reader_new},
    {Py_tp_methods, reader_methods},
    {Py_tp_traverse, reader_traverse},
    {Py_tp_clear, reader_clear},
    {Py_tp_dealloc, reader_dealloc},
    {0, NULL},
};

static PyType_Spec reader_spec = {
    "dsrecords._native._core.Reader",
    sizeof(Reader),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    reader_slots,
};

int add_reader_type(PyObject *module) {
    if (add_type(module, &reader_spec) == NULL)
        return -1;
    run_type = (PyTypeObject *)PyType_FromSpec(&run_spec);
    return run_type == NULL ? -1 : 0;
}
