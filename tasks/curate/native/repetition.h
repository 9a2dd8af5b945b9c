// What repeats inside one text: lines or paragraphs, and n-grams of words. Equality is of the bytes, never of a hash.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text.h"

namespace mixwright {

// A word, line or paragraph: its bytes and how many characters they are.
struct Part {
  std::string_view bytes;
  int64_t chars;
};

// The parts of one text as numbers: equal parts have equal ones.
class Spellings {
 public:
  std::vector<uint32_t> ids;         // per part
  std::vector<uint32_t> counts;      // per different part: how often it occurs
  std::vector<int64_t> chars_before; // per part, and behind the last one: the characters of all parts before it

  void number(const std::vector<Part>& parts) {
    if (parts.size() >= UINT32_MAX) throw std::length_error("a text has 2^32 words or more");
    numbering_.begin(parts.size()), different_.clear(), counts.clear();
    ids.resize(parts.size()), chars_before.resize(parts.size() + 1);
    chars_before[0] = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string_view part = parts[i].bytes;
      ids[i] = numbering_.number(hash_bytes(part), [&](uint32_t id) { return different_[id] == part; });
      if (ids[i] == different_.size()) different_.push_back(part), counts.push_back(0);
      ++counts[ids[i]];
      chars_before[i + 1] = chars_before[i] + parts[i].chars;
    }
  }

  // Gives back what only numbering needs, and `release` all, where an uncommonly large text has filled it.
  void settle() { numbering_.release(); }
  void release() {
    settle();
    release_large(ids), release_large(counts), release_large(chars_before), release_large(different_);
  }

  // The different parts, in the order of their numbers.
  const std::vector<std::string_view>& different() const { return different_; }

 private:
  Numbering numbering_;
  std::vector<std::string_view> different_;
};

// How many parts a text has, how many of them stood in it before, how many occur twice or more; and their characters.
struct PartCounts {
  int64_t all = 0, all_chars = 0, again = 0, again_chars = 0, repeated = 0, repeated_chars = 0;
};

inline PartCounts count_parts(const std::vector<Part>& parts, Spellings& memory) {
  memory.number(parts);
  PartCounts found;
  found.all = static_cast<int64_t>(parts.size());
  found.all_chars = memory.chars_before.back();
  uint32_t seen = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const uint32_t id = memory.ids[i];
    if (memory.counts[id] > 1) ++found.repeated, found.repeated_chars += parts[i].chars;
    if (id == seen) {
      ++seen;
    } else {
      ++found.again, found.again_chars += parts[i].chars;
    }
  }
  return found;
}

// The n-grams of one text that occur at least twice. Both (n-1)-grams in such a one do too, so each length starts from
// what is left of the length before; a pair of two numbers below 2^32 is one number below 2^64, so no hash decides.
class Ngrams {
 public:
  // Starts with the words themselves; `words` must stay as it is while n-grams are looked at.
  void begin(const Spellings& words) {
    length_ = 1, before_ = words.chars_before.data(), groups_ = words.ids;
    release_large(counts_), release_large(firsts_), release_large(positions_);
    positions_.resize(groups_.size());
    for (size_t i = 0; i < positions_.size(); ++i) positions_[i] = static_cast<uint32_t>(i);
    keep_repeated(static_cast<uint32_t>(words.counts.size()));
  }

  // Goes on to the n-grams of one word more.
  void lengthen() {
    const bool many = positions_.size() > kMany;
    if (many) look_ahead();
    numbering_.begin(positions_.size());
    size_t joined = 0;
    for (size_t i = 0; i + 1 < positions_.size(); ++i) {
      if (positions_[i + 1] != positions_[i] + 1) continue;
      const uint64_t hash = pair_hash(i);
      if (many && !may_repeat_(hash)) continue;
      positions_[joined] = positions_[i];
      groups_[joined++] = numbering_.number(hash, [](uint32_t) { return true; });
    }
    positions_.resize(joined), groups_.resize(joined);
    may_repeat_.release();
    ++length_;
    numbering_.release();
    keep_repeated(numbering_.size());
  }

  // The most frequent n-gram; among equally frequent ones that of most characters, then the first.
  struct Top {
    int64_t covered_chars = 0;     // characters of the words that it covers, each word once
    int64_t chars_times_count = 0; // its characters times its occurrences
  };
  Top top() const {
    if (groups_.empty()) return {};
    uint32_t best = groups_[0];
    for (const uint32_t group : groups_)
      if (counts_[group] > counts_[best] || (counts_[group] == counts_[best] && chars(group) > chars(best)))
        best = group;
    return {covered([&](size_t i) { return groups_[i] == best; }), chars(best) * counts_[best]};
  }

  // Characters of the words covered by n-grams that occurred before.
  int64_t duplicate_chars() const {
    return covered([&](size_t i) { return positions_[i] != firsts_[groups_[i]]; });
  }

  // Characters of the words covered by n-grams that occur twice or more.
  int64_t repeated_chars() const {
    return covered([](size_t) { return true; });
  }

 private:
  size_t length_ = 1;
  const int64_t* before_ = nullptr;
  std::vector<uint32_t> positions_, groups_;  // where a repeated n-gram starts (ascending), and which it is
  std::vector<uint32_t> counts_, firsts_;     // per n-gram: how often, and where first
  Numbering numbering_;
  MayRepeat may_repeat_;

  // No hash but a number: of the two groups that begin at i, scrambled so that it spreads.
  uint64_t pair_hash(size_t i) const { return scramble(static_cast<uint64_t>(groups_[i]) << 32 | groups_[i + 1]); }

  // Of very many n-grams only those that may come twice are numbered: a number takes more memory.
  void look_ahead() {
    may_repeat_.begin(positions_.size());
    for (size_t i = 0; i + 1 < positions_.size(); ++i)
      if (positions_[i + 1] == positions_[i] + 1) may_repeat_.add(pair_hash(i));
  }

  int64_t chars(uint32_t group) const { return before_[firsts_[group] + length_] - before_[firsts_[group]]; }

  void keep_repeated(uint32_t num_groups) {
    counts_.assign(num_groups, 0), firsts_.assign(num_groups, 0);
    for (size_t i = 0; i < positions_.size(); ++i)
      if (counts_[groups_[i]]++ == 0) firsts_[groups_[i]] = positions_[i];
    size_t kept = 0;
    for (size_t i = 0; i < positions_.size(); ++i) {
      positions_[kept] = positions_[i], groups_[kept] = groups_[i];
      kept += counts_[groups_[i]] > 1;
    }
    positions_.resize(kept), groups_.resize(kept);
  }

  template <class Chosen>
  int64_t covered(Chosen chosen) const {
    int64_t total = 0;
    size_t end = 0;
    for (size_t i = 0; i < positions_.size(); ++i) {
      if (!chosen(i)) continue;
      const size_t start = positions_[i] > end ? positions_[i] : end;
      end = positions_[i] + length_;
      total += before_[end] - before_[start];
    }
    return total;
  }
};

}  // namespace mixwright
