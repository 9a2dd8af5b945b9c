// Text as Python sees it, read from UTF-8 without making a string: code points, character classes, words, lines, and
// what counting them needs (a hash of bytes, a table that numbers things).
//
// The classes are CPython's own (its macros, its Unicode version), so a kernel and its Python fallback cannot disagree.
// Text that is not valid UTF-8 raises std::invalid_argument, a ValueError in Python, where it is decoded.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace mixwright {

// ---- Code points ---------------------------------------------------------------------------------------------------

inline uint32_t decode_wide(const char*& at, const char* end) {
  const auto byte = [&](int i) { return static_cast<uint32_t>(static_cast<unsigned char>(at[i])); };
  const auto follows = [&](int i) { return (byte(i) & 0xC0u) == 0x80u; };
  const uint32_t lead = byte(0);
  if (lead >= 0xC2 && lead < 0xE0 && end - at >= 2 && follows(1)) {
    const uint32_t c = (lead & 0x1Fu) << 6 | (byte(1) & 0x3Fu);
    at += 2;
    return c;
  }
  if (lead >= 0xE0 && lead < 0xF0 && end - at >= 3 && follows(1) && follows(2)) {
    const uint32_t c = (lead & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu);
    if (c >= 0x800 && (c < 0xD800 || c > 0xDFFF)) return at += 3, c;
  }
  if (lead >= 0xF0 && lead < 0xF5 && end - at >= 4 && follows(1) && follows(2) && follows(3)) {
    const uint32_t c =
        (lead & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu);
    if (c >= 0x10000 && c <= 0x10FFFF) return at += 4, c;
  }
  throw std::invalid_argument("a text is not valid UTF-8");
}

// Returns the code point at `at` (at < end) and moves `at` behind it.
inline uint32_t decode(const char*& at, const char* end) {
  const auto byte = static_cast<unsigned char>(*at);
  if (byte < 0x80) return ++at, byte;
  return decode_wide(at, end);
}

// Moves back from `at` (at > start) to the first byte of the code point before it.
inline const char* before(const char* start, const char* at) {
  do --at;
  while (at > start && (static_cast<unsigned char>(*at) & 0xC0) == 0x80);
  return at;
}

// How many code points a valid text has: len(text).
inline int64_t count_chars(std::string_view text) {
  int64_t continuations = 0;
  for (const char c : text) continuations += static_cast<signed char>(c) < -0x40;
  return static_cast<int64_t>(text.size()) - continuations;
}

// ---- Character classes ---------------------------------------------------------------------------------------------

enum : uint8_t {
  kSpace = 1,      // str.isspace: what str.split() and str.strip() drop
  kLineBreak = 2,  // where str.splitlines() breaks; every one of them is a space
  kAlpha = 4,      // str.isalpha
  kDecimal = 8,    // str.isdecimal
  kUpper = 16,     // str.isupper of one character
  kDigit = 32,     // str.isdigit: decimals, and digits such as a superscript two
  kAlnum = 64,     // str.isalnum; with "_" what the re module calls \w
  kWide = 128,     // the first or a later byte of a character outside ASCII
};

inline uint8_t wide_classes(uint32_t c) {
  const auto point = static_cast<Py_UCS4>(c);
  const auto when = [](int is, uint8_t classes) { return is ? classes : uint8_t{0}; };
  if (Py_UNICODE_ISALPHA(point))  // and so none of the others, tested on all of Unicode
    return static_cast<uint8_t>(kAlpha | kAlnum | when(Py_UNICODE_ISUPPER(point), kUpper));
  return static_cast<uint8_t>(
      when(Py_UNICODE_ISSPACE(point), kSpace) | when(Py_UNICODE_ISLINEBREAK(point), kLineBreak) |
      when(Py_UNICODE_ISDECIMAL(point), kDecimal) | when(Py_UNICODE_ISDIGIT(point), kDigit) |
      when(Py_UNICODE_ISUPPER(point), kUpper) |
      when(Py_UNICODE_ISDECIMAL(point) || Py_UNICODE_ISDIGIT(point) || Py_UNICODE_ISNUMERIC(point), kAlnum));
}

// The classes of every byte: of the ASCII character it is, or kWide.
inline const std::array<uint8_t, 256> kByteClasses = [] {
  std::array<uint8_t, 256> classes{};
  for (uint32_t c = 0; c < 256; ++c) classes[c] = c < 128 ? wide_classes(c) : static_cast<uint8_t>(kWide);
  return classes;
}();

inline uint8_t byte_classes(char byte) { return kByteClasses[static_cast<unsigned char>(byte)]; }

// Returns the classes of the character at `at` (at < end) and moves `at` behind it.
inline uint8_t next_classes(const char*& at, const char* end) {
  const uint8_t classes = byte_classes(*at);
  if (classes != kWide) return ++at, classes;
  return wide_classes(decode_wide(at, end));
}

// The classes of a code point.
inline uint8_t classes_of(uint32_t c) { return c < 128 ? kByteClasses[c] : wide_classes(c); }

// Whether a character lies in a block of a script that puts no blanks between words: those of tasks/core/scripts.py.
inline bool unspaced_block(uint32_t c) {
  constexpr uint32_t kBlocks[][2] = {
      {0x0E00, 0x109F}, {0x1780, 0x17FF}, {0x1950, 0x19DF}, {0x1A20, 0x1AAF}, {0x1B00, 0x1B7F}, {0x3005, 0x3007},
      {0x3040, 0x312F}, {0x31A0, 0x31BF}, {0x31F0, 0x31FF}, {0x3400, 0x4DBF}, {0x4E00, 0xA4CF}, {0xA980, 0xA9FF},
      {0xAA60, 0xAADF}, {0xF900, 0xFAFF}, {0xFF66, 0xFF9F}, {0x11700, 0x1174F}, {0x1B000, 0x1B16F},
      {0x20000, 0x3FFFF}};
  for (const auto& block : kBlocks)
    if (c <= block[1]) return c >= block[0];
  return false;
}

// Whether it is a letter there, or a sign that counts like one (〇): alphanumeric, and no decimal digit.
inline bool is_unspaced(uint32_t c) {
  return c >= 0x0E00 && unspaced_block(c) && (wide_classes(c) & (kAlnum | kDecimal)) == kAlnum;
}

// Whether a part of a text has such a letter: only characters of three bytes and more are looked at.
inline bool has_unspaced(std::string_view part) {
  const char* at = part.data();
  for (const char* const end = at + part.size(); at < end;) {
    if (static_cast<unsigned char>(*at) < 0xE0) {
      ++at;
    } else if (is_unspaced(decode_wide(at, end))) {
      return true;
    }
  }
  return false;
}

// ---- Words, lines, strip -------------------------------------------------------------------------------------------

inline std::string_view between(const char* start, const char* end) {
  return {start, static_cast<size_t>(end - start)};
}

// text.strip()
inline std::string_view strip(std::string_view text) {
  const char* start = text.data();
  const char* end = start + text.size();
  for (const char* at = start; start < end && next_classes(at, end) & kSpace;) start = at;
  while (start < end) {
    const char* last = before(start, end);
    const char* at = last;
    if (!(next_classes(at, end) & kSpace)) break;
    end = last;
  }
  return between(start, end);
}

// Calls take(word) for every word of text.split(), in order; a word is a view into the text.
template <class Take>
void for_each_word(std::string_view text, Take take) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    const char* start = at;
    if (next_classes(at, end) & kSpace) continue;
    const char* stop = at;
    while (at < end && !(next_classes(at, end) & kSpace)) stop = at;
    take(between(start, stop));
  }
}

inline uint64_t eight_bytes(const char* at) {
  uint64_t bytes;
  std::memcpy(&bytes, at, 8);
  return bytes;
}

// Whether one of eight bytes may break a line: is a control character, or not ASCII.
inline bool may_break(uint64_t bytes) {
  constexpr uint64_t kEach = 0x0101010101010101u;
  return ((bytes - 0x20 * kEach) | bytes) & 0x80 * kEach;
}

// Calls take(line) for every line of text.splitlines(), in order, without its line break. Eight bytes at a time where they
// are plain: most text is.
template <class Take>
void for_each_line(std::string_view text, Take take) {
  const char* at = text.data();
  const char* const end = at + text.size();
  const char* start = at;
  while (at < end) {
    if (end - at >= 8 && !may_break(eight_bytes(at))) {
      at += 8;
      continue;
    }
    const char* stop = at;
    if (!(next_classes(at, end) & kLineBreak)) continue;
    if (*stop == '\r' && at < end && *at == '\n') ++at;
    take(between(start, stop));
    start = at;
  }
  if (start < end) take(between(start, end));
}

// ---- Hashing and numbering -----------------------------------------------------------------------------------------

// A bijection of 64-bit numbers that spreads them: equal results mean equal numbers, never a collision.
inline uint64_t scramble(uint64_t x) {
  x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93u;
  x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93u;
  return x ^ (x >> 32);
}

inline uint64_t fold(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// A 64-bit hash of bytes, the same everywhere on little-endian machines. It may collide: compare the bytes themselves.
inline uint64_t hash_bytes(std::string_view bytes) {
  const auto read = [](const char* from, size_t size) {
    uint64_t word = 0;
    std::memcpy(&word, from, size);
    return word;
  };
  constexpr uint64_t kFirst = 0x9E3779B97F4A7C15u, kSecond = 0xE7037ED1A0B428DBu;
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t state = kFirst ^ left;
  for (; left > 16; at += 16, left -= 16) state = fold(read(at, 8) ^ kSecond, read(at + 8, 8) ^ state);
  if (left >= 8) return fold(fold(read(at, 8) ^ kSecond, read(at + left - 8, 8) ^ state), kFirst);
  // Two overlapping reads cover 4 to 7 bytes, three single bytes 1 to 3: no loop over the rest.
  uint64_t rest = 0;
  if (left >= 4) {
    rest = read(at, 4) << 32 | read(at + left - 4, 4);
  } else if (left) {
    rest = read(at, 1) << 16 | read(at + left / 2, 1) << 8 | read(at + left - 1, 1);
  }
  return fold(fold(rest ^ kSecond, state), kFirst);
}

// What a text may leave behind in memory that is used again: more than this is given back behind an uncommonly large one.
inline constexpr size_t kKeptBytes = size_t{1} << 22;

template <class T>
void release_large(std::vector<T>& memory) {
  if (memory.capacity() * sizeof(T) > kKeptBytes) std::vector<T>().swap(memory);
}

// Room for as many as a text of so many bytes can have. What is not written takes no memory, and what grows is not copied.
template <class T>
void reserve_for(std::vector<T>& memory, size_t bytes) {
  if (bytes * sizeof(T) > kKeptBytes) memory.reserve(bytes / 2 + 1);
}

// More things than this in one text are uncommon, and what takes memory for each of them is worth a second look.
inline constexpr size_t kMany = size_t{1} << 17;

// Says of things that came twice that they may have; of most others that they did not. Wrong only on the side of "may".
class MayRepeat {
 public:
  void begin(size_t most) {
    size_t slots = 64;
    shift_ = 58;
    while (slots < 8 * most) slots *= 2, --shift_;
    if (slots > seen_.size()) seen_.resize(slots);
    std::memset(seen_.data(), 0, slots);
  }
  // Only the high bits of the hash matter, so a product will do.
  void add(uint64_t hash) {
    uint8_t& seen = seen_[hash >> shift_];
    seen = static_cast<uint8_t>(seen << 1 | 1);
  }
  bool operator()(uint64_t hash) const { return seen_[hash >> shift_] > 1; }

  // Gives back the memory that an uncommonly large text has filled.
  void release() { release_large(seen_); }

 private:
  std::vector<uint8_t> seen_;
  int shift_ = 58;
};

// Numbers things 0, 1, 2, ... in the order they are first seen. Made once, it serves document after document: `begin`
// forgets all in O(1), by a generation stamp, and uses only as much of the table as this document needs.
class Numbering {
 public:
  // Forgets everything; at most `most` different things will come.
  void begin(size_t most) {
    size_t slots = 16;
    while (slots < 2 * most && slots < kFirstSlots) slots *= 2;
    release_large(slots_);
    if (slots > slots_.size()) slots_.assign(slots, Slot{}), stamp_ = 0;
    if (++stamp_ == 0) slots_.assign(slots_.size(), Slot{}), stamp_ = 1;
    mask_ = slots - 1;
    // Of a smaller table half stays empty whatever comes; a larger one grows when it is three quarters full.
    grown_at_ = slots < kFirstSlots ? slots : slots / 4 * 3;
    size_ = 0;
  }

  // Returns the number of the thing with this hash for which same(number) is true; the next number if there is none.
  // (For things of 64 bits: hash = scramble(thing), and same is always true.)
  template <class Same>
  uint32_t number(uint64_t hash, Same same) {
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      Slot& slot = slots_[at];
      if (slot.stamp != stamp_) {
        slot = {hash, stamp_, size_};
        if (++size_ == grown_at_) grow();
        return size_ - 1;
      }
      if (slot.hash == hash && same(slot.number)) return slot.number;
    }
  }

  // How many different things were seen since `begin`.
  uint32_t size() const { return size_; }

  // Gives back the memory that an uncommonly large text has filled.
  void release() { release_large(slots_); }

 private:
  struct Slot {
    uint64_t hash = 0;
    uint32_t stamp = 0, number = 0;
  };
  static constexpr size_t kFirstSlots = kKeptBytes / sizeof(Slot);
  std::vector<Slot> slots_;
  size_t mask_ = 0, grown_at_ = 0;
  uint32_t stamp_ = 0, size_ = 0;

  void grow() {
    std::vector<Slot> larger(2 * (mask_ + 1));
    const size_t mask = larger.size() - 1;
    for (const Slot& slot : slots_) {
      if (slot.stamp != stamp_) continue;
      size_t at = slot.hash & mask;
      while (larger[at].stamp) at = (at + 1) & mask;
      larger[at] = {slot.hash, 1, slot.number};
    }
    slots_.swap(larger);
    stamp_ = 1, mask_ = mask, grown_at_ = slots_.size() / 4 * 3;
  }
};

}  // namespace mixwright
