// Words and pairs of words by bucket: SHA-256 of their bytes modulo the number of buckets, as DSIR hashes them.
// The rules are those of tasks/curate/scorers/hashed_ngrams.py, which is the fallback; texts come in lower case.

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "arrow.h"
#include "text.h"

namespace mixwright {
namespace {

// SHA-256 (FIPS 180-4), and its value modulo a number.
class Sha256 {
 public:
  using Digest = std::array<uint32_t, 8>;  // big-endian words, the most significant first

  static Digest of(std::string_view bytes) {
    Digest state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
    size_t left = bytes.size();
    for (; left >= 64; at += 64, left -= 64) block(state, at);
    // What is left, a one bit, zeros, and the number of bits in the last eight bytes.
    unsigned char last[128] = {};
    if (left) std::memcpy(last, at, left);
    last[left] = 0x80;
    const size_t size = left < 56 ? 64 : 128;
    const uint64_t bits = uint64_t{bytes.size()} * 8;
    for (size_t i = 0; i < 8; ++i) last[size - 1 - i] = static_cast<unsigned char>(bits >> 8 * i);
    for (size_t i = 0; i < size; i += 64) block(state, last + i);
    return state;
  }

  // The digest as a number of 256 bits, modulo `divisor` (less than 2^32).
  static uint32_t modulo(const Digest& digest, uint32_t divisor) {
    uint64_t rest = 0;
    for (const uint32_t word : digest) rest = (rest << 32 | word) % divisor;
    return static_cast<uint32_t>(rest);
  }

 private:
  static uint32_t rotated(uint32_t x, int bits) { return x >> bits | x << (32 - bits); }

  static void block(Digest& state, const unsigned char* bytes) {
    static constexpr uint32_t kRound[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t word[64];
    for (int t = 0; t < 16; ++t)
      word[t] = uint32_t{bytes[4 * t]} << 24 | uint32_t{bytes[4 * t + 1]} << 16 | uint32_t{bytes[4 * t + 2]} << 8 |
                uint32_t{bytes[4 * t + 3]};
    for (int t = 16; t < 64; ++t) {
      const uint32_t x = word[t - 15], y = word[t - 2];
      word[t] = word[t - 16] + (rotated(x, 7) ^ rotated(x, 18) ^ x >> 3) + word[t - 7] +
                (rotated(y, 17) ^ rotated(y, 19) ^ y >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (int t = 0; t < 64; ++t) {
      const uint32_t first = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + kRound[t] + word[t];
      const uint32_t second = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
    }
    const Digest after = {a, b, c, d, e, f, g, h};
    for (size_t i = 0; i < 8; ++i) state[i] += after[i];
  }
};

// Of words, and of pairs, so many are remembered, with their buckets.
constexpr uint32_t kRemembered = uint32_t{1} << 21;

class Buckets {
 public:
  explicit Buckets(int64_t number) : number_(static_cast<uint32_t>(number)) {
    if (number < 1 || number > 0xFFFFFFFF) throw std::invalid_argument("the number of buckets is from 1 to 2^32 - 1");
    forget();
  }

  // Calls take(bucket) for every word, and behind it for the pair that it makes with the word before it.
  template <class Take>
  void each(std::string_view text, Take take) {
    const char* at = text.data();
    const char* const end = at + text.size();
    bool first = true;
    uint32_t before = 0;
    while (at < end) {
      const char* const start = at;
      const int kind = next_kind(at, end);
      if (kind == kBlank) continue;
      const char* stop = at;
      while (at < end && next_kind(at, end) == kind) stop = at;
      at = stop;
      if (words_.size() > kRemembered || pairs_.size() > kRemembered) {
        // The word before is the first of what is remembered anew.
        const std::string kept = first ? std::string() : std::string(word(before));
        forget();
        if (!first) before = number_of(kept);
      }
      const uint32_t now = number_of(between(start, stop));
      take(word_bucket_[now]);
      if (!first) take(pair_bucket(before, now));
      before = now;
      first = false;
    }
  }

 private:
  enum { kBlank, kWord, kSign };

  static int next_kind(const char*& at, const char* end) {
    if (*at == '_') return ++at, kWord;
    const uint8_t classes = next_classes(at, end);
    return classes & kSpace ? kBlank : classes & kAlnum ? kWord : kSign;
  }

  std::string_view word(uint32_t number) const {
    return std::string_view(text_).substr(start_[number], start_[number + 1] - start_[number]);
  }

  uint32_t bucket(std::string_view bytes) const { return Sha256::modulo(Sha256::of(bytes), number_); }

  uint32_t number_of(std::string_view bytes) {
    const uint32_t number = words_.number(hash_bytes(bytes), [&](uint32_t other) { return word(other) == bytes; });
    if (number == word_bucket_.size()) {
      text_.append(bytes);
      start_.push_back(text_.size());
      word_bucket_.push_back(bucket(bytes));
    }
    return number;
  }

  uint32_t pair_bucket(uint32_t before, uint32_t now) {
    const uint32_t number = pairs_.number(scramble(uint64_t{before} << 32 | now), [](uint32_t) { return true; });
    if (number == pair_bucket_.size()) {
      pair_.assign(word(before)).append(1, ' ').append(word(now));
      pair_bucket_.push_back(bucket(pair_));
    }
    return pair_bucket_[number];
  }

  void forget() {
    words_.begin(kRemembered), pairs_.begin(kRemembered);
    text_.clear(), word_bucket_.clear(), pair_bucket_.clear();
    start_.assign(1, 0);
  }

  uint32_t number_;
  Numbering words_, pairs_;
  std::string text_, pair_;
  std::vector<size_t> start_;
  std::vector<uint32_t> word_bucket_, pair_bucket_;
};

template <class T>
PyObject* bytes_of(const std::vector<T>& values) {
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(values.data()),
                                   static_cast<Py_ssize_t>(values.size() * sizeof(T)));
}

PyObject* count(PyObject*, PyObject* args) {
  PyObject *data, *offsets;
  long long number;
  if (!PyArg_ParseTuple(args, "OOL", &data, &offsets, &number)) return nullptr;
  return guarded([&] {
    const Texts texts(data, offsets);
    Buckets buckets(number);
    std::vector<int64_t> counts(static_cast<size_t>(number));
    for (int64_t i = 0; i < texts.size(); ++i) buckets.each(texts[i], [&](uint32_t bucket) { ++counts[bucket]; });
    return bytes_of(counts);
  });
}

PyObject* rows(PyObject*, PyObject* args) {
  PyObject *data, *offsets;
  long long number;
  if (!PyArg_ParseTuple(args, "OOL", &data, &offsets, &number)) return nullptr;
  return guarded([&]() -> PyObject* {
    const Texts texts(data, offsets);
    Buckets buckets(number);
    std::vector<int64_t> ends = {0}, there, counts;
    std::vector<uint32_t> found;
    for (int64_t i = 0; i < texts.size(); ++i) {
      found.clear();
      buckets.each(texts[i], [&](uint32_t bucket) { found.push_back(bucket); });
      std::sort(found.begin(), found.end());
      for (size_t at = 0; at < found.size(); ++at) {
        if (!at || found[at] != found[at - 1]) there.push_back(found[at]), counts.push_back(0);
        ++counts.back();
      }
      ends.push_back(static_cast<int64_t>(there.size()));
    }
    return Py_BuildValue("NNN", bytes_of(ends), bytes_of(there), bytes_of(counts));
  });
}

PyObject* score(PyObject*, PyObject* args) {
  PyObject *data, *offsets, *given, *scores, *ngrams;
  if (!PyArg_ParseTuple(args, "OOOOO", &data, &offsets, &given, &scores, &ngrams)) return nullptr;
  return guarded([&]() -> PyObject* {
    const Texts texts(data, offsets);
    const Buffer weights(given, PyBUF_SIMPLE), sums(scores, PyBUF_WRITABLE), counts(ngrams, PyBUF_WRITABLE);
    if (sums.size<double>() != texts.size() || counts.size<int64_t>() != texts.size())
      throw std::invalid_argument("an array is not as long as the texts are many");
    Buckets buckets(weights.size<double>());
    const double* weight = weights.as<const double>();
    for (int64_t i = 0; i < texts.size(); ++i) {
      double sum = 0;
      int64_t count = 0;
      buckets.each(texts[i], [&](uint32_t bucket) { sum += weight[bucket], ++count; });
      sums.as<double>()[i] = sum, counts.as<int64_t>()[i] = count;
    }
    Py_RETURN_NONE;
  });
}

PyMethodDef methods[] = {
    {"count", count, METH_VARARGS, "count(data, offsets, buckets) -> int64 [buckets] as bytes: n-grams of all texts"},
    {"rows", rows, METH_VARARGS,
     "rows(data, offsets, buckets) -> int64 [N + 1], [E], [E] as bytes: where the entries of each text end, buckets "
     "that it has, ascending, and how often"},
    {"score", score, METH_VARARGS,
     "score(data, offsets, weights, scores, ngrams): fill float64 and int64 [N]: sums of weights, and n-grams"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace
}  // namespace mixwright

MIXWRIGHT_MODULE(_mixwright_buckets, mixwright::methods)
