/* Base classes of `Entries`, `Verified` and `Snapshot`: the few attributes that each read needs lie
   in a struct here instead of a dict, so that C reaches them without a look-up. There is no second
   copy of this state that could be behind the first. */

#include "native.h"

static PyTypeObject *entries_type;
static PyTypeObject *verified_type;
static PyTypeObject *snapshot_type;

/* As `is_of` wants them. */
static PyTypeObject *known_entries;
static PyTypeObject *known_verified;
static PyTypeObject *known_snapshot;

Snapshot *snapshot_of(PyObject *object) {
    return is_of(object, snapshot_type, &known_snapshot) ? (Snapshot *)object : NULL;
}

/* Memory that is looked at again and again, as long as it is of the same object. */

static void close_window(Window *window) {
    if (window->object == NULL)
        return;
    PyObject *object = window->object;
    window->object = NULL; /* first: what follows may run anything */
    PyBuffer_Release(&window->buffer);
    Py_DECREF(object);
}

/* Does nothing if the object is no memoryview of memory side by side: then it is not for C. */
static void open_window(Window *window, PyObject *object, int is_writable) {
    if (object == NULL || window->object == object || !PyMemoryView_Check(object))
        return;
    int flags = is_writable ? PyBUF_ND | PyBUF_WRITABLE : PyBUF_ND;
    Py_buffer buffer;
    if (PyObject_GetBuffer(object, &buffer, flags) < 0) {
        PyErr_Clear();
        return;
    }
    Window old = *window;
    Py_INCREF(object);
    window->object = object;
    window->buffer = buffer;
    close_window(&old);
}

/* Whether its rows, and what is known of its records, are objects of our classes. */
int are_parts_ours(const Snapshot *snapshot) {
    return is_of(snapshot->entries, entries_type, &known_entries) &&
           is_of(snapshot->verified, verified_type, &known_verified);
}

/* Whether all windows are of what the attributes are now, which are of our classes. */
static int are_open(const Snapshot *snapshot) {
    if (!are_parts_ours(snapshot))
        return 0;
    const Entries *entries = (const Entries *)snapshot->entries;
    const Verified *verified = (const Verified *)snapshot->verified;
    return snapshot->log.object != NULL && snapshot->log.object == snapshot->data &&
           entries->rows.object != NULL && entries->rows.object == entries->mapped_words &&
           verified->window.object != NULL && verified->window.object == verified->bits;
}

static int is_width_of_bits(Py_ssize_t width) {
    return width == 1 || width == 2 || width == 4 || width == 8;
}

/* Opens the windows anew. What is closed meanwhile may be the last reference to a mapping, and that
   runs code of Python's: so both objects are held, and whoever calls looks again. */
static void open_all(Snapshot *snapshot) {
    if (!are_parts_ours(snapshot))
        return;
    Entries *entries = (Entries *)snapshot->entries;
    Verified *verified = (Verified *)snapshot->verified;
    Py_INCREF((PyObject *)entries);
    Py_INCREF((PyObject *)verified);
    open_window(&entries->rows, entries->mapped_words, 0);
    open_window(&verified->window, verified->bits, 1);
    if (verified->window.object != NULL &&
        !is_width_of_bits(verified->window.buffer.itemsize))
        close_window(&verified->window);
    open_window(&snapshot->log, snapshot->data, 0);
    Py_DECREF((PyObject *)verified);
    Py_DECREF((PyObject *)entries);
}

/* The windows of a list, as its attributes are now. Returns -1 if C cannot look at one of them. */
int open_windows(Snapshot *snapshot) {
    if (are_open(snapshot))
        return 0;
    open_all(snapshot);
    return are_open(snapshot) ? 0 : -1;
}

/* Whether item i, of so many bytes, lies in a window. Without a division, which takes long. */
static int is_in_window(const Window *window, Py_ssize_t i, Py_ssize_t width) {
    Py_ssize_t end;
    return i >= 0 && i < PY_SSIZE_T_MAX && width > 0 && !__builtin_mul_overflow(i + 1, width, &end) &&
           end <= window->buffer.len;
}

static uint64_t load_bits(const Window *window, Py_ssize_t i) {
    const uint8_t *bits = window->buffer.buf;
    switch (window->buffer.itemsize) {
    case 1:
        return bits[i];
    case 2:
        return load16(bits + 2 * i);
    case 4:
        return load32(bits + 4 * i);
    default:
        return load64(bits + 8 * i);
    }
}

/* Asks for the memory in which a head without payloads is, if all frames from one that was found to
   this one are of one size: so it comes while the row is looked for. It is only asked for: what is
   read is what the row says. */
void guess_record(const Snapshot *snapshot, const Layout *layout, Py_ssize_t i) {
    if (layout->payload_count)
        return;
    uint64_t distance = ((uint64_t)i - (uint64_t)snapshot->near_position) * (uint64_t)layout->head_size;
    uint64_t offset = snapshot->near_offset + distance;
    if (offset < (uint64_t)snapshot->log.buffer.len)
        __builtin_prefetch((const uint8_t *)snapshot->log.buffer.buf + offset);
}

/* Finds a record by its position. The windows are open. Returns -1 if C cannot, or must not. */
int find_record(Snapshot *snapshot, const Layout *layout, Py_ssize_t i, Record *record) {
    const Entries *entries = (const Entries *)snapshot->entries;
    const Window *bits = &((const Verified *)snapshot->verified)->window;
    Py_ssize_t row_size = entries->row_size;
    Py_ssize_t head_size = layout->head_size;
    if (i >= entries->direct || row_size < SHORT_ROW ||
        !is_in_window(&entries->rows, i, row_size) ||
        !is_in_window(bits, i, bits->buffer.itemsize))
        return -1;
    const uint8_t *row = (const uint8_t *)entries->rows.buffer.buf + row_size * i;
    uint64_t offset = load64(row);
    record->row = row;
    record->offset = offset;
    record->known = load_bits(bits, i);
    if (row_size != SHORT_ROW) {
        if (row_size != 8 + head_size)
            return -1;
        record->head = row + 8;
        return 0;
    }
    Py_ssize_t length = snapshot->log.buffer.len;
    if (length < head_size || offset > (uint64_t)(length - head_size))
        return -1;
    record->head = (const uint8_t *)snapshot->log.buffer.buf + offset;
    snapshot->near_position = i;
    snapshot->near_offset = offset;
    return 0;
}

/* Whether the head of a record is what was written: what `Snapshot._wrong_head` looks at. Of a
   revision, whose payloads lie elsewhere, the answer is no: it is left to Python. The log ends at
   `length`, which is only compared here: nothing is read by it. */
int is_right_head(Snapshot *snapshot, const Layout *layout, Py_ssize_t i, const Record *record,
                  uint64_t length) {
    return is_head_with(snapshot, layout, i, record, length, NULL);
}

/* The same of a head whose checksum is known already, unless `known` is NULL. */
int is_head_with(Snapshot *snapshot, const Layout *layout, Py_ssize_t i, const Record *record,
                 uint64_t length, const uint32_t *known) {
    const Entries *entries = (const Entries *)snapshot->entries;
    const uint8_t *head = record->head;
    uint64_t offset = record->offset;
    uint64_t word = load64(head + 8);
    uint64_t size = size_of_word(word);
    int kind = kind_of_word(word);
    if ((kind != RECORD && kind != PENDING) || (offset & 7) != 0 ||
        offset < (uint64_t)snapshot->first_offset || offset > length || size > length - offset)
        return 0;
    if (size != extent(head + 16, layout->payload_count, (uint64_t)layout->head_size))
        return 0;
    int in_row = entries->row_size != SHORT_ROW;
    uint32_t stored = load32(record->row + (in_row ? 8 : 12)) ^ row_mix((uint64_t)i) ^ entries->salt;
    if (!in_row) {
        uint32_t eighths = load32(record->row + 8);
        if (stored != load32(head) || (eighths != UNKNOWN_SIZE && eighths != size >> 3))
            return 0;
    }
    if (snapshot->mode == TRUST)
        return 1;
    uint32_t crc = known != NULL ? *known : head_checksum(snapshot, layout, head);
    return (crc ^ offset_mix(offset)) == stored;
}

/* Remembers that parts of a record are verified: see `Verified.remember`. The windows are open.
   Returns -1 if C cannot. */
int remember(Snapshot *snapshot, Py_ssize_t i, uint64_t parts) {
    if (snapshot->mode == VERIFY_ALL)
        return 0;
    Window *window = &((Verified *)snapshot->verified)->window;
    Py_ssize_t width = window->buffer.itemsize;
    if (!is_in_window(window, i, width))
        return -1;
    uint64_t known = load_bits(window, i) | parts;
    memcpy((uint8_t *)window->buffer.buf + width * i, &known, (size_t)width);
    return 0;
}

/* The classes. */

/* The memoryviews of windows are not visited. They lead to nobody, so no cycle goes through them; and
   Python's collector, if it knew of our references, could clear a memoryview whose memory is still
   being looked at, which crashes when that ends (CPython 3.11 to 3.13 at least). */

static int entries_traverse(Entries *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->mapped_words);
    Py_VISIT(self->appended);
    return 0;
}

static int entries_clear(Entries *self) {
    Py_CLEAR(self->mapped_words);
    Py_CLEAR(self->appended);
    close_window(&self->rows);
    return 0;
}

static void entries_dealloc(Entries *self) {
    PyObject_GC_UnTrack(self);
    entries_clear(self);
    free_object((PyObject *)self);
}

static PyMemberDef entries_members[] = {
    {"mapped_words", T_OBJECT_EX, offsetof(Entries, mapped_words), 0, NULL},
    {"direct", T_PYSSIZET, offsetof(Entries, direct), 0, NULL},
    {"row_size", T_PYSSIZET, offsetof(Entries, row_size), 0, NULL},
    {"salt", T_UINT, offsetof(Entries, salt), 0, NULL},
    {"kept", T_PYSSIZET, offsetof(Entries, kept), 0, NULL},
    {"used", T_PYSSIZET, offsetof(Entries, used), 0, NULL},
    {"appended", T_OBJECT_EX, offsetof(Entries, appended), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int verified_traverse(Verified *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->bits);
    return 0;
}

static int verified_clear(Verified *self) {
    Py_CLEAR(self->bits);
    close_window(&self->window);
    return 0;
}

static void verified_dealloc(Verified *self) {
    PyObject_GC_UnTrack(self);
    verified_clear(self);
    free_object((PyObject *)self);
}

static PyMemberDef verified_members[] = {
    {"bits", T_OBJECT_EX, offsetof(Verified, bits), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int snapshot_traverse(Snapshot *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->data);
    Py_VISIT(self->entries);
    Py_VISIT(self->verified);
    Py_VISIT(self->schema);
    Py_VISIT(self->log_object);
    Py_VISIT(self->mark);
    return 0;
}

static int snapshot_clear(Snapshot *self) {
    Py_CLEAR(self->data);
    Py_CLEAR(self->entries);
    Py_CLEAR(self->verified);
    Py_CLEAR(self->schema);
    Py_CLEAR(self->log_object);
    Py_CLEAR(self->mark);
    close_window(&self->log);
    return 0;
}

static void snapshot_dealloc(Snapshot *self) {
    PyObject_GC_UnTrack(self);
    snapshot_clear(self);
    free_object((PyObject *)self);
}

static PyMemberDef snapshot_members[] = {
    {"data", T_OBJECT_EX, offsetof(Snapshot, data), 0, NULL},
    {"entries", T_OBJECT_EX, offsetof(Snapshot, entries), 0, NULL},
    {"verified", T_OBJECT_EX, offsetof(Snapshot, verified), 0, NULL},
    {"schema", T_OBJECT_EX, offsetof(Snapshot, schema), 0, NULL},
    {"log", T_OBJECT_EX, offsetof(Snapshot, log_object), 0, NULL},
    {"_mark", T_OBJECT_EX, offsetof(Snapshot, mark), 0, NULL},
    {"first_offset", T_PYSSIZET, offsetof(Snapshot, first_offset), 0, NULL},
    {"seed", T_UINT, offsetof(Snapshot, seed), 0, NULL},
    {"mode", T_INT, offsetof(Snapshot, mode), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

TYPE(Entries, entries, "Where the rows of a list are.")
TYPE(Verified, verified, "Where it is noted what has been verified.")
TYPE(Snapshot, snapshot, "Where a list of records is.")

int add_snapshot_types(PyObject *module) {
    entries_type = add_type(module, &entries_spec);
    verified_type = add_type(module, &verified_spec);
    snapshot_type = add_type(module, &snapshot_spec);
    return entries_type && verified_type && snapshot_type ? 0 : -1;
}
