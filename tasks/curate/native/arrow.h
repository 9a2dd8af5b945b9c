// What a kernel sees of Python: texts as Arrow lays them out, and arrays of numbers to fill. No object is made per text.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstdint>
#include <new>
#include <stdexcept>
#include <string_view>

namespace mixwright {

// A buffer of Python held for the time of a call.
class Buffer {
 public:
  Buffer(PyObject* object, int flags) {
    if (PyObject_GetBuffer(object, &view_, flags) != 0) throw std::runtime_error("");
  }
  ~Buffer() { PyBuffer_Release(&view_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  template <class T>
  T* as() const { return static_cast<T*>(view_.buf); }
  template <class T>
  int64_t size() const { return static_cast<int64_t>(view_.len / static_cast<Py_ssize_t>(sizeof(T))); }

 private:
  Py_buffer view_{};
};

// A new reference, given back at the end of a scope. Made from null, it throws: the Python error is set.
class Object {
 public:
  explicit Object(PyObject* object) : object_(object) {
    if (!object) throw std::runtime_error("");
  }
  ~Object() { Py_DECREF(object_); }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  PyObject* get() const { return object_; }

 private:
  PyObject* object_;
};

// The texts of an Arrow large_string array: text i is bytes offsets[i] to offsets[i + 1] of the data, valid UTF-8.
class Texts {
 public:
  Texts(PyObject* data, PyObject* offsets) : data_(data, PyBUF_SIMPLE), offsets_(offsets, PyBUF_SIMPLE) {
    if (offsets_.size<int64_t>() < 1) throw std::invalid_argument("offsets hold at least one number");
    const int64_t* at = offsets_.as<const int64_t>();
    for (int64_t i = 0; i < size(); ++i)
      if (at[i] > at[i + 1]) throw std::invalid_argument("offsets must not decrease");
    if (at[0] < 0 || at[size()] > data_.size<char>()) throw std::invalid_argument("offsets point outside the data");
  }
  int64_t size() const { return offsets_.size<int64_t>() - 1; }
  std::string_view operator[](int64_t i) const {
    const int64_t* at = offsets_.as<const int64_t>();
    return {data_.as<const char>() + at[i], static_cast<size_t>(at[i + 1] - at[i])};
  }

 private:
  Buffer data_, offsets_;
};

// Runs the body of a Python-facing function; a C++ exception becomes a Python one.
template <class Body>
PyObject* guarded(Body body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  } catch (const std::exception& error) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, error.what());
    return nullptr;
  }
}

}  // namespace mixwright

// The one way a kernel becomes a module: its functions, and the digest of the sources it was compiled from.
#define MIXWRIGHT_MODULE(NAME, METHODS)                                                             \
  static PyModuleDef definition_ = {PyModuleDef_HEAD_INIT, #NAME, nullptr, -1, METHODS,             \
                                    nullptr, nullptr, nullptr, nullptr};                            \
  PyMODINIT_FUNC PyInit_##NAME() {                                                                  \
    PyObject* module = PyModule_Create(&definition_);                                               \
    if (module && PyModule_AddStringConstant(module, "SOURCE_DIGEST", MIXWRIGHT_SOURCE_DIGEST) < 0) { \
      Py_DECREF(module);                                                                            \
      return nullptr;                                                                               \
    }                                                                                               \
    return module;                                                                                  \
  }
