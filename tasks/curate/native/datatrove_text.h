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
    pieces_.clear(), reserve_for(pieces_, text.size());
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
    release_large(pieces_), release_large(firsts_), numbering_.release();
  }

 private:
  std::vector<std::string_view> pieces_, firsts_;
  Numbering numbering_;
};

}  // namespace mixwright
