// MinHash signatures of word n-grams, of both kinds (tasks/curate/dedup/signing): the same values as the Python there.
//
// A signature is, per permutation, the smallest permuted hash of the text's n-grams. That loop is compiled for several
// instruction sets and the widest one of this machine is taken; the numbers are integers and do not depend on it.

#include <algorithm>
#include <string>

#include "arrow.h"
#include "english.h"
#include "text.h"
#include "xxh.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define MIXWRIGHT_DISPATCH 1
#endif

namespace mixwright {
namespace {

// ---- Smallest permuted hashes --------------------------------------------------------------------------------------

constexpr int64_t kLanes = 16;
constexpr uint64_t kMersenne = (uint64_t{1} << 61) - 1;

struct Upper {  // a h + b mod 2^64; the caller takes the upper half
  static uint64_t permuted(uint64_t hash, uint64_t a, uint64_t b) { return hash * a + b; }
};

struct Mersenne {  // (a h + b mod 2^64) mod 2^61 - 1: the lower 61 bits and the upper 3, less the modulus if need be
  static uint64_t permuted(uint64_t hash, uint64_t a, uint64_t b) {
    const uint64_t value = hash * a + b;
    const uint64_t folded = (value & kMersenne) + (value >> 61);
    return std::min(folded, folded - kMersenne);
  }
};

// Writes the minima over the hashes of `count` permutations, a multiple of kLanes.
#define MIXWRIGHT_MINIMA(NAME, ATTRIBUTES)                                                              \
  template <class Permutation>                                                                          \
  ATTRIBUTES void NAME(const std::vector<uint64_t>& hashes, const uint64_t* a, const uint64_t* b,       \
                       int64_t count, uint64_t* minima) {                                               \
    for (int64_t start = 0; start < count; start += kLanes) {                                           \
      uint64_t multiplier[kLanes], offset[kLanes], smallest[kLanes];                                    \
      for (int64_t i = 0; i < kLanes; ++i)                                                              \
        multiplier[i] = a[start + i], offset[i] = b[start + i], smallest[i] = ~uint64_t{0};             \
      for (const uint64_t hash : hashes)                                                                \
        for (int64_t i = 0; i < kLanes; ++i)                                                            \
          smallest[i] = std::min(smallest[i], Permutation::permuted(hash, multiplier[i], offset[i]));   \
      for (int64_t i = 0; i < kLanes; ++i) minima[start + i] = smallest[i];                             \
    }                                                                                                   \
  }

MIXWRIGHT_MINIMA(minima_baseline, )
#ifdef MIXWRIGHT_DISPATCH
MIXWRIGHT_MINIMA(minima_avx2, __attribute__((target("avx2"))))
MIXWRIGHT_MINIMA(minima_avx512, __attribute__((target("avx512f,avx512dq,avx512vl"))))
#endif

template <class Permutation>
auto minima_here() {
#ifdef MIXWRIGHT_DISPATCH
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) return minima_avx512<Permutation>;
  if (__builtin_cpu_supports("avx2")) return minima_avx2<Permutation>;
#endif
  return minima_baseline<Permutation>;
}

// The permutations of a call, padded to whole lanes; the loop for this machine.
template <class Permutation>
class Permutations {
 public:
  Permutations(PyObject* multipliers, PyObject* offsets) : a_(read(multipliers)), b_(read(offsets)) {
    if (a_.size() != b_.size()) throw std::invalid_argument("as many multipliers as offsets are needed");
    count_ = static_cast<int64_t>(a_.size());
    const auto padded = static_cast<size_t>((count_ + kLanes - 1) / kLanes * kLanes);
    a_.resize(padded), b_.resize(padded), minima_.resize(padded);
  }
  int64_t count() const { return count_; }
  const uint64_t* minima(const std::vector<uint64_t>& hashes) {
    loop_(hashes, a_.data(), b_.data(), static_cast<int64_t>(a_.size()), minima_.data());
    return minima_.data();
  }

 private:
  static std::vector<uint64_t> read(PyObject* object) {
    const Buffer buffer(object, PyBUF_SIMPLE);
    const auto* first = buffer.as<const uint64_t>();
    return {first, first + buffer.size<uint64_t>()};
  }
  std::vector<uint64_t> a_, b_, minima_;
  int64_t count_ = 0;
  decltype(minima_here<Permutation>()) loop_ = minima_here<Permutation>();
};

// ---- What Python alone knows ---------------------------------------------------------------------------------------

// A function from str to str of Python, remembered for words that came before; dropped whole when it is full (64 MB).
class Remembered {
 public:
  static constexpr size_t kMostBytes = size_t{32} << 20, kMostSlots = size_t{1} << 20, kLongestWord = 256;

  std::string_view operator()(PyObject* function, std::string_view word) {
    if (word.size() > kLongestWord) return called(function, word, once_);
    if (2 * (used_ + 1) > slots_.size() || bytes_.size() > kMostBytes) make_room();
    const uint64_t hash = hash_bytes(word);
    size_t place = find(hash, word);
    if (slots_[place].size == 0) {
      const std::string_view value = called(function, word, once_);
      // The call may have run other Python code, but none that comes back here.
      slots_[place] = {hash, bytes_.size(), static_cast<uint32_t>(word.size()), static_cast<uint32_t>(value.size())};
      bytes_.append(word).append(value);
      ++used_;
    }
    const Slot& slot = slots_[place];
    return std::string_view(bytes_).substr(slot.start + slot.size, slot.value_size);
  }

 private:
  struct Slot {
    uint64_t hash = 0, start = 0;
    uint32_t size = 0, value_size = 0;
  };

  static std::string_view called(PyObject* function, std::string_view word, std::string& into) {
    const Object text(PyUnicode_DecodeUTF8(word.data(), static_cast<Py_ssize_t>(word.size()), nullptr));
    const Object value(PyObject_CallOneArg(function, text.get()));
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(value.get(), &size);
    if (bytes == nullptr) throw std::runtime_error("");
    into.assign(bytes, static_cast<size_t>(size));
    return into;
  }

  size_t find(uint64_t hash, std::string_view word) const {
    size_t place = hash & (slots_.size() - 1);
    const auto other = [&](const Slot& slot) {
      return slot.hash != hash || std::string_view(bytes_).substr(slot.start, slot.size) != word;
    };
    while (slots_[place].size != 0 && other(slots_[place])) place = (place + 1) & (slots_.size() - 1);
    return place;
  }

  void make_room() {
    if (bytes_.size() > kMostBytes || slots_.size() == kMostSlots) {
      bytes_.clear(), used_ = 0;
      slots_.assign(slots_.size(), Slot{});
      return;
    }
    // Pages are taken as they are filled; growing would hold the bytes twice.
    bytes_.reserve(kMostBytes + 8 * kLongestWord);
    std::vector<Slot> old(std::max<size_t>(1 << 12, 2 * slots_.size()));
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.size != 0) slots_[find(slot.hash, std::string_view(bytes_).substr(slot.start, slot.size))] = slot;
  }

  std::vector<Slot> slots_;
  std::string bytes_, once_;
  size_t used_ = 0;
};

inline bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
}

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
inline char lowered(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Calls take(part) for the parts of a word that begin with a letter of a script without blanks, or with what is
// alphanumeric behind one: `letters_apart` of tasks/core/scripts.py.
template <class Take>
void for_each_letter_apart(std::string_view word, Take take) {
  const char* start = word.data();
  const char* const end = start + word.size();
  bool apart = false;
  for (const char* at = start; at < end;) {
    const char* const here = at;
    const uint32_t c = decode(at, end);
    const bool letter = is_unspaced(c);
    if (here > start && (letter || (apart && (classes_of(c) & kAlnum)))) {
      take(between(start, here));
      start = here, apart = false;
    }
    apart = apart || letter;
  }
  take(between(start, end));
}

// Whether more than half of what is alphanumeric are letters of scripts without blanks.
inline bool mostly_unspaced(std::string_view text) {
  if (!has_unspaced(text)) return false;
  int64_t unspaced = 0, all = 0;
  const char* at = text.data();
  for (const char* const end = at + text.size(); at < end;) {
    const uint32_t c = decode(at, end);
    all += (classes_of(c) & kAlnum) != 0;
    unspaced += is_unspaced(c);
  }
  return 2 * unspaced > all;
}

// ---- The n-grams of a text, by kind --------------------------------------------------------------------------------

// kind "fast": whitespace words, of scripts without blanks every letter, in lower case without marks at their ends; the
// hash of an n-gram mixes those of its words.
class FastNgrams {
 public:
  using Permutation = Upper;
  // `normal`: str -> str for words outside ASCII; `long_hash`: bytes -> XXH3 for words that are too long for ours.
  FastNgrams(PyObject* normal, PyObject* long_hash, int64_t length)
      : normal_(normal), long_hash_(long_hash), length_(static_cast<size_t>(length)) {}

  const std::vector<uint64_t>& operator()(std::string_view text) {
    words_.clear(), ngrams_.clear();
    for_each_word(text, [&](std::string_view word) {
      if (is_ascii(word)) {
        add(trimmed(word));
      } else if (has_unspaced(word)) {
        for_each_letter_apart(word, [&](std::string_view part) { add(remembered()(normal_, part)); });
      } else {
        add(remembered()(normal_, word));
      }
    });
    for (size_t first = 0; first + length_ <= words_.size(); ++first) {
      uint64_t hash = 0;
      for (size_t k = 0; k < length_; ++k) hash = hash * 0x9E3779B97F4A7C15u + words_[first + k];
      hash = (hash ^ hash >> 30) * 0xBF58476D1CE4E5B9u;
      hash = (hash ^ hash >> 27) * 0x94D049BB133111EBu;
      ngrams_.push_back(hash ^ hash >> 31);
    }
    return ngrams_;
  }

 private:
  static Remembered& remembered() {
    static Remembered table;
    return table;
  }
  void add(std::string_view word) {
    if (!word.empty()) words_.push_back(hashed(word));
  }

  // Every printable character of ASCII that is no letter and no digit is a mark; control characters are not.
  static bool is_mark(char c) { return c > ' ' && c < 127 && !is_letter(c) && !is_digit(c); }

  std::string_view trimmed(std::string_view word) {
    while (!word.empty() && is_mark(word.front())) word.remove_prefix(1);
    while (!word.empty() && is_mark(word.back())) word.remove_suffix(1);
    lower_.resize(word.size());
    std::transform(word.begin(), word.end(), lower_.begin(), lowered);
    return lower_;
  }

  uint64_t hashed(std::string_view word) const {
    if (word.size() <= kXxh3Most) return xxh3_short(word);
    const Object bytes(PyBytes_FromStringAndSize(word.data(), static_cast<Py_ssize_t>(word.size())));
    const Object number(PyObject_CallOneArg(long_hash_, bytes.get()));
    const uint64_t hash = PyLong_AsUnsignedLongLong(number.get());
    if (PyErr_Occurred()) throw std::runtime_error("");
    return hash;
  }

  PyObject *normal_, *long_hash_;
  size_t length_;
  std::string lower_;
  std::vector<uint64_t> words_, ngrams_;
};

// kind "datatrove": English tokens of simplified text (letters, if it is mostly of scripts without blanks); the hash of an
// n-gram is XXH64 of its tokens joined by blanks.
class DatatroveNgrams {
 public:
  using Permutation = Mersenne;
  // `simplify`: str -> str for a part between blanks that is not ASCII: its words, each with a blank behind.
  DatatroveNgrams(PyObject* simplify, int64_t length) : simplify_(simplify), length_(static_cast<size_t>(length)) {}

  const std::vector<uint64_t>& operator()(std::string_view text) {
    simple_.clear(), joined_.clear(), starts_.clear(), ngrams_.clear();
    for_each_word(text, [&](std::string_view chunk) {
      if (is_ascii(chunk)) {
        simplify_ascii(chunk);
      } else {
        simple_.append(remembered()(simplify_, chunk));
      }
    });
    const std::string_view simple = strip(simple_);
    if (mostly_unspaced(simple)) {
      for_each_word(simple, [&](std::string_view word) {
        for_each_letter_apart(word, [&](std::string_view part) { add(part); });
      });
    } else {
      English::instance().tokens(
          simple, [&](const Token& token, size_t begin) { add(simple.substr(begin, token.bytes)); });
    }
    starts_.push_back(joined_.size());
    for (size_t first = 0; first + length_ < starts_.size(); ++first) {
      // Up to the blank behind the last token.
      const size_t start = starts_[first], stop = starts_[first + length_] - 1;
      ngrams_.push_back(xxh64(std::string_view(joined_).substr(start, stop - start)));
    }
    return ngrams_;
  }

 private:
  static Remembered& remembered() {
    static Remembered table;
    return table;
  }

  void add(std::string_view token) {
    starts_.push_back(joined_.size());
    joined_.append(token).push_back(' ');
  }

  // Lower case; a number, with one decimal part, becomes 0; what is no letter and no digit parts words.
  void simplify_ascii(std::string_view part) {
    bool in_word = false;
    for (size_t at = 0; at < part.size();) {
      const char c = part[at++];
      if (is_letter(c)) {
        simple_.push_back(lowered(c));
      } else if (is_digit(c)) {
        simple_.push_back('0');
        while (at < part.size() && is_digit(part[at])) ++at;
        const bool decimal = at + 1 < part.size() && (part[at] == '.' || part[at] == ',') && is_digit(part[at + 1]);
        if (decimal) ++at;
        while (decimal && at < part.size() && is_digit(part[at])) ++at;
      } else if (in_word) {
        simple_.push_back(' ');
      }
      in_word = is_letter(c) || is_digit(c);
    }
    if (in_word) simple_.push_back(' ');
  }

  PyObject* simplify_;
  size_t length_;
  std::string simple_, joined_;
  std::vector<size_t> starts_;
  std::vector<uint64_t> ngrams_;
};

// ---- What Python calls ---------------------------------------------------------------------------------------------

uint32_t narrowed(uint64_t minimum, Upper) { return static_cast<uint32_t>(minimum >> 32); }
uint64_t narrowed(uint64_t minimum, Mersenne) { return minimum; }

// Fills values [texts, permutations] (0 for a text without n-grams) and the number of n-grams of every text.
template <class Ngrams>
void sign_all(const Texts& texts, Ngrams ngrams, PyObject* multipliers, PyObject* offsets, PyObject* values_object,
              PyObject* counts_object) {
  using Permutation = typename Ngrams::Permutation;
  using Value = decltype(narrowed(0, Permutation{}));
  Permutations<Permutation> permutations(multipliers, offsets);
  const Buffer values(values_object, PyBUF_WRITABLE), counts(counts_object, PyBUF_WRITABLE);
  if (values.size<Value>() != texts.size() * permutations.count() || counts.size<int64_t>() != texts.size())
    throw std::invalid_argument("values or counts have the wrong size");
  for (int64_t i = 0; i < texts.size(); ++i) {
    const std::vector<uint64_t>& hashes = ngrams(texts[i]);
    counts.as<int64_t>()[i] = static_cast<int64_t>(hashes.size());
    Value* row = values.as<Value>() + i * permutations.count();
    const uint64_t* minima = hashes.empty() ? nullptr : permutations.minima(hashes);
    for (int64_t p = 0; p < permutations.count(); ++p) row[p] = minima ? narrowed(minima[p], Permutation{}) : Value{0};
  }
}

// Returns the sets of n-grams, each ascending, one after another as uint64, and fills in their sizes.
template <class Ngrams>
PyObject* sets_of_all(const Texts& texts, Ngrams ngrams, PyObject* sizes_object) {
  const Buffer sizes(sizes_object, PyBUF_WRITABLE);
  if (sizes.size<int64_t>() != texts.size()) throw std::invalid_argument("sizes have the wrong size");
  std::vector<uint64_t> all, set;
  for (int64_t i = 0; i < texts.size(); ++i) {
    set = ngrams(texts[i]);
    std::sort(set.begin(), set.end());
    set.erase(std::unique(set.begin(), set.end()), set.end());
    sizes.as<int64_t>()[i] = static_cast<int64_t>(set.size());
    all.insert(all.end(), set.begin(), set.end());
  }
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(all.data()),
                                   static_cast<Py_ssize_t>(all.size() * sizeof(uint64_t)));
}

PyObject* sign_fast(PyObject*, PyObject* args) {
  PyObject *data, *at, *multipliers, *offsets, *normal, *long_hash, *values, *counts;
  long long length;
  if (!PyArg_ParseTuple(args, "OOLOOOOOO", &data, &at, &length, &multipliers, &offsets, &normal, &long_hash, &values,
                        &counts))
    return nullptr;
  return guarded([&] {
    sign_all(Texts(data, at), FastNgrams(normal, long_hash, length), multipliers, offsets, values, counts);
    return Py_NewRef(Py_None);
  });
}

PyObject* sign_datatrove(PyObject*, PyObject* args) {
  PyObject *data, *at, *multipliers, *offsets, *simplify, *values, *counts;
  long long length;
  if (!PyArg_ParseTuple(args, "OOLOOOOO", &data, &at, &length, &multipliers, &offsets, &simplify, &values, &counts))
    return nullptr;
  return guarded([&] {
    sign_all(Texts(data, at), DatatroveNgrams(simplify, length), multipliers, offsets, values, counts);
    return Py_NewRef(Py_None);
  });
}

PyObject* sets_fast(PyObject*, PyObject* args) {
  PyObject *data, *at, *normal, *long_hash, *sizes;
  long long length;
  if (!PyArg_ParseTuple(args, "OOLOOO", &data, &at, &length, &normal, &long_hash, &sizes)) return nullptr;
  return guarded([&] { return sets_of_all(Texts(data, at), FastNgrams(normal, long_hash, length), sizes); });
}

PyObject* sets_datatrove(PyObject*, PyObject* args) {
  PyObject *data, *at, *simplify, *sizes;
  long long length;
  if (!PyArg_ParseTuple(args, "OOLOO", &data, &at, &length, &simplify, &sizes)) return nullptr;
  return guarded([&] { return sets_of_all(Texts(data, at), DatatroveNgrams(simplify, length), sizes); });
}

// Returns how many numbers two ascending arrays of uint64 without repetitions share.
PyObject* intersection(PyObject*, PyObject* args) {
  PyObject *one_object, *other_object;
  if (!PyArg_ParseTuple(args, "OO", &one_object, &other_object)) return nullptr;
  return guarded([&] {
    const Buffer one(one_object, PyBUF_SIMPLE), other(other_object, PyBUF_SIMPLE);
    const auto *a = one.as<const uint64_t>(), *b = other.as<const uint64_t>();
    const auto *a_end = a + one.size<uint64_t>(), *b_end = b + other.size<uint64_t>();
    long long shared = 0;
    while (a < a_end && b < b_end) {
      const uint64_t left = *a, right = *b;
      shared += left == right;
      a += left <= right;
      b += right <= left;
    }
    return PyLong_FromLongLong(shared);
  });
}

PyMethodDef methods[] = {
    {"sign_fast", sign_fast, METH_VARARGS, "Signatures of kind fast."},
    {"sign_datatrove", sign_datatrove, METH_VARARGS, "Signatures of kind datatrove."},
    {"sets_fast", sets_fast, METH_VARARGS, "Sets of n-grams of kind fast."},
    {"sets_datatrove", sets_datatrove, METH_VARARGS, "Sets of n-grams of kind datatrove."},
    {"intersection", intersection, METH_VARARGS, "The number of shared n-grams of two sets."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace
}  // namespace mixwright

MIXWRIGHT_MODULE(_mixwright_minhash, mixwright::methods)
