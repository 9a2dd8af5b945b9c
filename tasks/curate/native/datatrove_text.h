// Scans of a text that datatrove's rules need: its lines and pieces, and which of them stood in it before.
#pragma once

#include "text.h"

namespace mixwright {

inline constexpr std::string_view kEllipsis = "...", kEllipsisSign = "\u2026", kBullet = "\u2022";

inline bool starts_with(std::string_view text, std::string_view part) { return text.substr(0, part.size()) == part; }

inline bool ends_with(std::string_view text, std::string_view part) {
  return text.size() >= part.size() && text.substr(text.size() - part.size()) == part;
}

inline int64_t count_of(std::string_view text, std::string_view part) {
  int64_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++found;
  return found;
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

// for_each_line of text.h, eight bytes at a time where they are plain: most text is.
template <class Take>
void for_each_text_line(std::string_view text, Take take) {
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

// Calls take(part) for the pieces between runs of at least `least` "\n", as re.split(r"\n{least,}") gives them.
template <class Take>
void for_each_piece(std::string_view text, size_t least, Take take) {
  size_t start = 0;
  for (size_t at = text.find('\n'); at != text.npos;) {
    size_t end = at + 1;
    while (end < text.size() && text[end] == '\n') ++end;
    if (end - at >= least) {
      take(text.substr(start, at - start));
      start = end;
    }
    at = text.find('\n', end);
  }
  take(text.substr(start));
}

// Which pieces stood before. Equal hashes are followed by a comparison of the bytes.
class Duplicates {
 public:
  int64_t pieces = 0, again = 0, again_chars = 0;

  template <class Split>
  void count(std::string_view text, Split split) {
    pieces_.clear();
    split(text, [&](std::string_view piece) { pieces_.push_back(piece); });
    pieces = static_cast<int64_t>(pieces_.size()), again = again_chars = 0;
    if (pieces_.size() < 2) return;
    numbering_.begin(pieces_.size()), firsts_.clear();
    for (const std::string_view piece : pieces_) {
      const auto same = [&](uint32_t other) { return firsts_[other] == piece; };
      if (numbering_.number(hash_bytes(piece), same) == firsts_.size()) {
        firsts_.push_back(piece);
      } else {
        ++again, again_chars += count_chars(piece);
      }
    }
  }

 private:
  std::vector<std::string_view> pieces_, firsts_;
  Numbering numbering_;
};

}  // namespace mixwright
