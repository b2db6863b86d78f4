/* What all base classes in C share: see `TYPE` in native.h. */

#include "native.h"

void free_object(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF((PyObject *)type);
}

PyTypeObject *add_type(PyObject *module, PyType_Spec *spec) {
    PyObject *type = PyType_FromSpec(spec);
    if (type == NULL || PyModule_AddType(module, (PyTypeObject *)type) < 0)
        return NULL;
    return (PyTypeObject *)type;
}

/* Whether an object is of a class, or of one that is made of it. `known` is the class that was met
   last and was one: nearly always there is only one. */
int is_of(PyObject *object, PyTypeObject *base, PyTypeObject **known) {
    if (object == NULL)
        return 0;
    PyTypeObject *type = Py_TYPE(object);
    if (type == *known)
        return 1;
    if (!PyType_IsSubtype(type, base))
        return 0;
    PyTypeObject *before = *known;
    Py_INCREF((PyObject *)type); /* so that its address stays its own */
    *known = type;
    Py_XDECREF((PyObject *)before);
    return 1;
}
