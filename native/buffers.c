/* Memory of other objects, by the buffer protocol: its length is the only bound that is believed. */

#include "native.h"

/* Any memory that is side by side. Raises an exception and returns -1 if there is none. */
int get_buffer(PyObject *object, Py_buffer *buffer, int is_writable) {
    return PyObject_GetBuffer(object, buffer, is_writable ? PyBUF_WRITABLE : PyBUF_SIMPLE);
}

/* The same, which must have room for so many items of so many bytes. */
int get_items(PyObject *object, Py_buffer *buffer, int is_writable, Py_ssize_t width,
              Py_ssize_t count) {
    if (get_buffer(object, buffer, is_writable) < 0)
        return -1;
    if (count < 0 || width < 1 || buffer->len / width < count) {
        PyErr_Format(PyExc_ValueError, "a buffer of %zd bytes for %zd items of %zd", buffer->len,
                     count, width);
        PyBuffer_Release(buffer);
        return -1;
    }
    return 0;
}

/* Raises TypeError and returns -1 if a function did not get as many arguments as it takes. */
int expect(Py_ssize_t count, Py_ssize_t wanted, const char *name) {
    if (count == wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, not %zd", name, wanted, count);
    return -1;
}
