// The facts of the English tokenizer, read once from tasks.curate.english.facts: the classes of characters, and tables
// of strings. The classes of Unicode that they are joined with are those of the running Python.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "arrow.h"
#include "text.h"

namespace mixwright::english {

// What a character is: a class of facts.json, a property of Unicode, or what a rule can start with.
inline constexpr uint32_t PREFIX = 1u << 0;
inline constexpr uint32_t SUFFIX = 1u << 1;
inline constexpr uint32_t INFIX = 1u << 2;
inline constexpr uint32_t BEFORE_PERIOD = 1u << 3;
inline constexpr uint32_t ALPHA = 1u << 4;
inline constexpr uint32_t LOWER = 1u << 5;
inline constexpr uint32_t UPPER = 1u << 6;
inline constexpr uint32_t QUOTE = 1u << 7;
inline constexpr uint32_t SENTENCE_END = 1u << 8;
inline constexpr uint32_t SYMBOL = 1u << 9;
inline constexpr uint32_t LETTER = 1u << 10;       // str.isalpha
inline constexpr uint32_t PUNCTUATION = 1u << 11;  // the categories P*
inline constexpr uint32_t WORD_CHAR = 1u << 12;    // \w of a regular expression
inline constexpr uint32_t DECIMAL = 1u << 13;      // \d
inline constexpr uint32_t DIGIT = 1u << 14;        // [0-9]
inline constexpr uint32_t LABEL = 1u << 15;        // the end of a label of a domain
inline constexpr uint32_t HYPHEN = 1u << 16;       // the first character of a hyphen
inline constexpr uint32_t CUTS = 1u << 17;         // an infix can start here

inline constexpr std::pair<const char*, uint32_t> kClasses[] = {
    {"prefix", PREFIX}, {"suffix", SUFFIX}, {"infix", INFIX | CUTS},         {"before_period", BEFORE_PERIOD},
    {"alpha", ALPHA},   {"lower", LOWER},   {"upper", UPPER},                {"quote", QUOTE},
    {"symbol", SYMBOL}, {"sentence_end", SENTENCE_END},
};

inline std::string_view utf8(PyObject* text) {
  Py_ssize_t size = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(text, &size);
  if (!bytes) throw std::runtime_error("");
  return {bytes, static_cast<size_t>(size)};
}

// The classes of a code point, worked out for 256 at a time when the first of them is met.
class Classes {
 public:
  // `ranges` is a dict: class -> list of first, last, first, last, ... code points, ascending.
  Classes(PyObject* ranges, const std::vector<std::string>& hyphens)
      : category_(PyObject_GetAttrString(Object(PyImport_ImportModule("unicodedata")).get(), "category")) {
    for (const auto& [name, bits] : kClasses) read_ranges(ranges, name, bits);
    for (const auto& hyphen : hyphens) {
      const char* at = hyphen.data();
      const uint32_t first = decode(at, at + hyphen.size());
      ranges_.push_back({first, first, HYPHEN | CUTS});
    }
  }

  uint32_t operator()(uint32_t c) {
    const auto& page = pages_[c >> 8];
    return page ? page[c & 255] : fill(c >> 8)[c & 255];
  }

 private:
  struct Range {
    uint32_t first, last, bits;
  };

  void read_ranges(PyObject* ranges, const char* name, uint32_t bits) {
    PyObject* bounds = PyDict_GetItemString(ranges, name);
    if (!bounds || !PyList_Check(bounds)) throw std::runtime_error(std::string("facts.json has no class ") + name);
    for (Py_ssize_t i = 0; i + 1 < PyList_GET_SIZE(bounds); i += 2) {
      const auto first = PyLong_AsUnsignedLong(PyList_GET_ITEM(bounds, i));
      const auto last = PyLong_AsUnsignedLong(PyList_GET_ITEM(bounds, i + 1));
      if (PyErr_Occurred()) throw std::runtime_error("");
      ranges_.push_back({static_cast<uint32_t>(first), static_cast<uint32_t>(last), bits});
    }
  }

  const uint32_t* fill(uint32_t number) {
    auto page = std::make_unique<uint32_t[]>(256);
    const uint32_t first = number << 8;
    for (uint32_t i = 0; i < 256; ++i) page[i] = unicode_classes(first + i);
    for (const Range& range : ranges_)
      for (uint32_t c = std::max(range.first, first); c <= std::min(range.last, first + 255); ++c)
        page[c - first] |= range.bits;
    return (pages_[number] = std::move(page)).get();
  }

  uint32_t unicode_classes(uint32_t c) const {
    const auto point = static_cast<Py_UCS4>(c);
    const bool ascii_digit = c >= '0' && c <= '9';
    const bool label = ascii_digit || (c < 128 ? Py_UNICODE_ISALPHA(point) : c >= 0xA1 && c <= 0xFFFF);
    const bool cuts = c < 128 && std::string_view(".,+-*^:<>=/").find(static_cast<char>(c)) != std::string_view::npos;
    return (Py_UNICODE_ISALPHA(point) ? LETTER : 0) | (Py_UNICODE_ISALNUM(point) || c == '_' ? WORD_CHAR : 0) |
           (Py_UNICODE_ISDECIMAL(point) ? DECIMAL : 0) | (is_punctuation(c) ? PUNCTUATION : 0) |
           (ascii_digit ? DIGIT : 0) | (label ? LABEL : 0) | (cuts ? CUTS : 0);
  }

  // CPython has no macro for the category.
  bool is_punctuation(uint32_t c) const {
    const Object character(PyUnicode_FromOrdinal(static_cast<int>(c)));
    const Object category(PyObject_CallFunctionObjArgs(category_.get(), character.get(), nullptr));
    return utf8(category.get()).substr(0, 1) == "P";
  }

  Object category_;
  std::vector<Range> ranges_;
  std::unique_ptr<uint32_t[]> pages_[0x1100];
};

struct HashBytes {
  size_t operator()(std::string_view bytes) const { return hash_bytes(bytes); }
};
using Strings = std::unordered_set<std::string_view, HashBytes>;

// A chunk with tokens of its own.
struct Exception {
  std::vector<std::string> tokens;
  std::vector<std::string> cut;  // the tokens that the other rules would give it
};

// All facts. The members are const in effect: a Classes only remembers what it worked out.
struct Facts {
  std::vector<std::string> prefixes, suffixes, after_digit, hyphens, stop_words;
  std::deque<std::pair<std::string, Exception>> exceptions;
  std::unordered_map<std::string_view, Exception*, HashBytes> exception_of;
  Strings after_digit_set;
  size_t longest_exception = 0;  // bytes
  size_t longest_after_digit = 0;  // characters
  std::unique_ptr<Classes> classes;

  Facts() {
    const Object module(PyImport_ImportModule("tasks.curate.english.facts"));
    const Object both(PyObject_CallMethod(module.get(), "kernel_facts", nullptr));
    PyObject *ranges = nullptr, *strings = nullptr;
    if (!PyArg_ParseTuple(both.get(), "O!O!", &PyDict_Type, &ranges, &PyDict_Type, &strings))
      throw std::runtime_error("");
    prefixes = read(strings, "prefixes");
    suffixes = read(strings, "suffixes");
    after_digit = read(strings, "after_digit");
    hyphens = read(strings, "hyphens");
    stop_words = read(strings, "stop_words");
    classes = std::make_unique<Classes>(ranges, hyphens);
    for (const auto& unit : after_digit) {
      after_digit_set.insert(unit);
      longest_after_digit = std::max(longest_after_digit, static_cast<size_t>(count_chars(unit)));
    }
    for (const auto& entry : read(strings, "exceptions")) add_exception(entry);
  }

 private:
  static std::vector<std::string> read(PyObject* strings, const char* name) {
    PyObject* list = PyDict_GetItemString(strings, name);
    if (!list || !PyList_Check(list)) throw std::runtime_error(std::string("facts.json has no ") + name);
    std::vector<std::string> values;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) values.emplace_back(utf8(PyList_GET_ITEM(list, i)));
    return values;
  }

  // `entry` holds the tokens, separated by spaces.
  void add_exception(std::string_view entry) {
    Exception exception;
    std::string chunk;
    for_each_word(entry, [&](std::string_view token) { exception.tokens.emplace_back(token), chunk += token; });
    exceptions.emplace_back(std::move(chunk), std::move(exception));
    exception_of.emplace(exceptions.back().first, &exceptions.back().second);
    longest_exception = std::max(longest_exception, exceptions.back().first.size());
  }
};

}  // namespace mixwright::english
