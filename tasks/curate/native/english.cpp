// The English tokenizer by itself, so that tests can compare it with tasks/curate/english.
#include "english.h"

#include <vector>

namespace {

using namespace mixwright;

// tokens(data, offsets) -> bytes: int64 rows of (text, begin in it, bytes, chars, flags, stop word, hash).
PyObject* tokens(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *data, *offsets;
    if (!PyArg_ParseTuple(arguments, "OO", &data, &offsets)) return nullptr;
    const Texts texts(data, offsets);
    English& english = English::instance();
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < texts.size(); ++i) {
      english.tokens(texts[i], [&](const Token& token, size_t begin) {
        rows.insert(rows.end(), {i, static_cast<int64_t>(begin), token.bytes, token.chars, token.flags, token.stop_word,
                                 static_cast<int64_t>(token.hash)});
      });
    }
    return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(rows.data()),
                                     static_cast<Py_ssize_t>(rows.size() * sizeof(int64_t)));
  });
}

// count_sentences(data, offsets, counts): fills int64 [N].
PyObject* count_sentences(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *data, *offsets, *counts;
    if (!PyArg_ParseTuple(arguments, "OOO", &data, &offsets, &counts)) return nullptr;
    const Texts texts(data, offsets);
    Buffer out(counts, PyBUF_WRITABLE);
    if (out.size<int64_t>() != texts.size()) throw std::invalid_argument("counts must hold one number per text");
    English& english = English::instance();
    for (int64_t i = 0; i < texts.size(); ++i) out.as<int64_t>()[i] = english.count_sentences(texts[i]);
    Py_RETURN_NONE;
  });
}

// joined(hash_a, hash_b, bytes_b): the hash of bytes a followed by bytes b.
PyObject* joined(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    unsigned long long hash_a, hash_b, bytes_b;
    if (!PyArg_ParseTuple(arguments, "KKK", &hash_a, &hash_b, &bytes_b)) return nullptr;
    return PyLong_FromUnsignedLongLong(english_joined(hash_a, hash_b, bytes_b));
  });
}

PyMethodDef methods_[] = {
    {"tokens", tokens, METH_VARARGS, "Rows (text, begin, bytes, chars, flags, stop word, hash) of every token."},
    {"count_sentences", count_sentences, METH_VARARGS, "Fill the number of sentences of every text."},
    {"joined", joined, METH_VARARGS, "The hash of bytes a followed by bytes b."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

MIXWRIGHT_MODULE(_mixwright_english, methods_)
