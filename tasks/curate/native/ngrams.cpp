// Benchmark n-grams in documents: words folded and hashed as they are read, candidates by hash, decisions by words.
// The rules and the hash are those of tasks/curate/decontaminate/words.py, which is the fallback.

#include <algorithm>
#include <string>
#include <vector>

#include "arrow.h"
#include "text.h"

namespace mixwright {
namespace {

constexpr uint64_t kFnvOffset = 0xCBF29CE484222325u, kFnvPrime = 0x100000001B3u, kBase = 0x9E3779B97F4A7C15u;

// A Chinese character or kana is a word of its own.
bool single_word(uint32_t c) {
  return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

void put(std::string& to, uint32_t c) {
  const auto byte = [&](uint32_t value) { to.push_back(static_cast<char>(value)); };
  if (c < 0x80) return byte(c);
  if (c < 0x800) return byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F));
  if (c < 0x10000) return byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F));
  byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F));
}

// What an ASCII byte becomes; 0 for a blank.
const std::array<char, 128> kFold = [] {
  std::array<char, 128> fold{};
  for (int c = 0; c < 128; ++c) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')) fold[c] = static_cast<char>(c);
    if (c >= 'A' && c <= 'Z') fold[c] = static_cast<char>(c + 32);
  }
  return fold;
}();

// The words of one document: their bytes with a blank between, where each starts and ends, and its hash.
struct Words {
  std::string text;
  std::vector<size_t> starts, ends;
  std::vector<uint64_t> hashes;

  void read(std::string_view document) {
    text.clear(), starts.clear(), ends.clear(), hashes.clear();
    open_ = false;
    const char* at = document.data();
    const char* const end = at + document.size();
    while (at < end) {
      const auto byte = static_cast<unsigned char>(*at);
      if (byte < 0x80) {
        ++at;
        const char folded = kFold[byte];
        if (folded) {
          begin();
          text.push_back(folded);
        } else {
          close();
        }
      } else {
        wide(decode_wide(at, end));
      }
    }
    close();
  }

 private:
  void wide(uint32_t c) {
    if (!Py_UNICODE_ISALNUM(static_cast<Py_UCS4>(c))) return close();
    const bool alone = single_word(c);
    if (alone) close();
    begin();
    put(text, static_cast<uint32_t>(Py_UNICODE_TOLOWER(static_cast<Py_UCS4>(c))));
    if (alone) close();
  }
  void begin() {
    if (open_) return;
    if (!text.empty()) text.push_back(' ');
    starts.push_back(text.size());
    open_ = true;
  }
  void close() {
    if (!open_) return;
    uint64_t hash = kFnvOffset;
    for (size_t i = starts.back(); i < text.size(); ++i)
      hash = (hash ^ static_cast<unsigned char>(text[i])) * kFnvPrime;
    hashes.push_back(hash);
    ends.push_back(text.size());
    open_ = false;
  }

  bool open_ = false;
};

// The index: arrays of E entries in the order of their hashes, and a bit map that says no for most other hashes.
class Index {
 public:
  Index(PyObject* text, PyObject* hashes, PyObject* starts, PyObject* ends, PyObject* num_words)
      : text_(text, PyBUF_SIMPLE), hashes_(hashes, PyBUF_SIMPLE), starts_(starts, PyBUF_SIMPLE),
        ends_(ends, PyBUF_SIMPLE), num_words_(num_words, PyBUF_SIMPLE) {
    if (starts_.size<int64_t>() != size() || ends_.size<int64_t>() != size() || num_words_.size<int32_t>() != size())
      throw std::invalid_argument("the arrays of an index have different lengths");
    for (int64_t e = 0; e < size(); ++e) {
      const int32_t length = num_words_.as<const int32_t>()[e];
      if (length < 1 || start(e) < 0 || end(e) < start(e) || end(e) > text_.size<char>() || (e && hash(e) < hash(e - 1)))
        throw std::invalid_argument("an entry of an index lies outside its text, or out of order");
      if (std::find(lengths.begin(), lengths.end(), length) == lengths.end()) lengths.push_back(length);
    }
    while ((int64_t{1} << bits_) < 16 * size() && bits_ < 32) ++bits_;
    map_.assign((size_t{1} << bits_) / 64, 0);
    for (int64_t e = 0; e < size(); ++e) map_[slot(hash(e)) / 64] |= uint64_t{1} << slot(hash(e)) % 64;
  }

  // Calls take(entry) for every entry that is these words.
  template <class Take>
  void find(uint64_t hash_, std::string_view words, Take take) const {
    if (!(map_[slot(hash_) / 64] >> slot(hash_) % 64 & 1)) return;
    const uint64_t* all = hashes_.as<const uint64_t>();
    for (int64_t e = std::lower_bound(all, all + size(), hash_) - all; e < size() && all[e] == hash_; ++e)
      if (std::string_view(text_.as<const char>() + start(e), static_cast<size_t>(end(e) - start(e))) == words) take(e);
  }

  std::vector<int32_t> lengths;

 private:
  int64_t size() const { return hashes_.size<uint64_t>(); }
  uint64_t hash(int64_t e) const { return hashes_.as<const uint64_t>()[e]; }
  int64_t start(int64_t e) const { return starts_.as<const int64_t>()[e]; }
  int64_t end(int64_t e) const { return ends_.as<const int64_t>()[e]; }
  // The high bits of a product depend on all bits of the hash.
  uint64_t slot(uint64_t value) const { return value * 0xFF51AFD7ED558CCDu >> (64 - bits_); }

  Buffer text_, hashes_, starts_, ends_, num_words_;
  int bits_ = 10;
  std::vector<uint64_t> map_;
};

using Match = std::array<int64_t, 3>;  // document, word, entry

void search_document(const Words& words, const Index& index, int64_t document, std::vector<Match>& matches) {
  const size_t first = matches.size(), count = words.hashes.size();
  for (const int32_t length : index.lengths) {
    const auto n = static_cast<size_t>(length);
    uint64_t top = 1, hash = 0;  // BASE^(n - 1), the weight of the word that leaves
    for (size_t i = 1; i < n; ++i) top *= kBase;
    for (size_t i = 0; i < count; ++i) {
      if (i >= n) hash -= words.hashes[i - n] * top;
      hash = hash * kBase + words.hashes[i];
      if (i + 1 < n) continue;
      const size_t at = i + 1 - n, start = words.starts[at];
      const std::string_view there(words.text.data() + start, words.ends[i] - start);
      index.find(hash, there, [&](int64_t entry) { matches.push_back({document, static_cast<int64_t>(at), entry}); });
    }
  }
  std::sort(matches.begin() + static_cast<std::ptrdiff_t>(first), matches.end());
}

PyObject* search(PyObject*, PyObject* args) {
  PyObject *data, *offsets, *text, *hashes, *starts, *ends, *num_words;
  if (!PyArg_ParseTuple(args, "OOOOOOO", &data, &offsets, &text, &hashes, &starts, &ends, &num_words)) return nullptr;
  return guarded([&] {
    const Texts texts(data, offsets);
    const Index index(text, hashes, starts, ends, num_words);
    std::vector<Match> matches;
    Words words;
    for (int64_t i = 0; i < texts.size(); ++i) {
      words.read(texts[i]);
      search_document(words, index, i, matches);
    }
    return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(matches.data()),
                                     static_cast<Py_ssize_t>(matches.size() * sizeof(Match)));
  });
}

PyMethodDef methods[] = {
    {"search", search, METH_VARARGS,
     "search(data, offsets, text, hashes, starts, ends, num_words) -> int64 [M, 3] as bytes: document, word, entry"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace
}  // namespace mixwright

MIXWRIGHT_MODULE(_mixwright_ngrams, mixwright::methods)
