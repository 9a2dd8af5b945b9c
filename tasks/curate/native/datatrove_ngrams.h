// The tokens of a text and what repeats among them, as datatrove's GopherRepetitionFilter counts it.
#pragma once

#include "datatrove_text.h"
#include "english.h"

namespace mixwright {

inline constexpr uint64_t kOdd = 0x9E3779B97F4A7C15u;

// Whether two ranges hold the same bytes; both may be read up to 7 bytes further. The ranges are short: no call.
inline bool same_bytes(const char* one, const char* other, size_t size) {
  for (; size >= 8; one += 8, other += 8, size -= 8)
    if (eight_bytes(one) != eight_bytes(other)) return false;
  return size == 0 || (eight_bytes(one) ^ eight_bytes(other)) << (64 - 8 * size) == 0;
}

inline constexpr size_t kPad = 32;

struct Mark {
  uint64_t hash;   // of the token: no proof that two are equal
  uint32_t bytes;  // of all tokens before it
  uint32_t chars;
};

// The tokens of a text end to end, without what stands between them: token i is bytes marks[i].bytes up to those of i + 1.
class Tokens {
 public:
  std::vector<Mark> marks;  // one more than tokens
  int64_t words = 0, word_chars = 0, alphabetic = 0;
  unsigned stop_words = 0;

  void read(English& english, std::string_view text) {
    marks.clear(), reserve_for(marks, 2 * text.size());
    words = word_chars = alphabetic = 0, stop_words = 0;
    if (joined_.size() < text.size() + kPad) joined_.resize(text.size() + kPad);
    uint32_t bytes = 0, chars = 0;
    english.tokens(text, [&](const Token& token, size_t begin) {
      marks.push_back({token.hash, bytes, chars});
      // A copy of 16 bytes needs no call, and what is too much of it is overwritten by the next one.
      const bool fits = token.bytes <= 16 && begin + 16 <= text.size();
      std::memcpy(joined_.data() + bytes, text.data() + begin, fits ? 16 : token.bytes);
      bytes += token.bytes, chars += token.chars;
      const bool word = token.flags & Token::WORD;
      words += word, word_chars += word ? token.chars : 0;
      alphabetic += (token.flags & Token::ALPHA) != 0;
      if (token.stop_word != Token::NO_STOP_WORD) stop_words |= 1u << token.stop_word;
    });
    marks.push_back({0, bytes, chars});
    std::memset(joined_.data() + bytes, 0, kPad);
  }
  size_t size() const { return marks.size() - 1; }
  const char* at(size_t i) const { return joined_.data() + marks[i].bytes; }
  size_t bytes(size_t i, size_t n) const { return marks[i + n].bytes - marks[i].bytes; }
  int64_t chars(size_t i, size_t n) const { return marks[i + n].chars - marks[i].chars; }
  std::string_view joined(size_t i, size_t n) const { return {at(i), bytes(i, n)}; }

  // Whether the n tokens from i on are those from j on, token by token.
  bool same(size_t i, size_t j, size_t n) const {
    for (size_t k = 1; k <= n; ++k)
      if (bytes(i, k) != bytes(j, k)) return false;
    return same_bytes(at(i), at(j), bytes(i, n));
  }

 private:
  std::vector<char> joined_;
};

inline constexpr size_t kShortestTop = 2, kLongestTop = 4, kShortestDuplicate = 5, kLongestDuplicate = 10;

// The most frequent n-grams. An n-gram repeats only if both (n-1)-grams in it do, and only those are numbered.
class TopNgrams {
 public:
  // Writes, per n = 2..4, the characters of the n-gram (blanks between its tokens included) times how often it occurs.
  void count(const Tokens& tokens, int64_t* row) {
    if (tokens.size() < kShortestTop) return;
    const size_t pairs = tokens.size() - 1;
    hashes_.resize(pairs), candidates_.resize(pairs);
    may_repeat_.begin(pairs);
    for (size_t i = 0; i < pairs; ++i) {
      hashes_[i] = (tokens.marks[i].hash * 31 + tokens.marks[i + 1].hash) * kOdd;
      may_repeat_.add(hashes_[i]);
    }
    size_t kept = 0;
    for (size_t i = 0; i < pairs; ++i) {
      candidates_[kept] = static_cast<uint32_t>(i);
      kept += may_repeat_(hashes_[i]);
    }
    candidates_.resize(kept);
    may_repeat_.release();
    for (size_t n = kShortestTop; n <= kLongestTop && tokens.size() >= n; ++n) row[n - kShortestTop] = top(tokens, n);
    numbering_.release();
    release_large(hashes_), release_large(candidates_), release_large(groups_);
    release_large(firsts_), release_large(counts_);
  }

 private:
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> candidates_, groups_, firsts_, counts_;
  MayRepeat may_repeat_;
  Numbering numbering_;

  // Candidates become those of the next length: n-grams that repeat, followed by another one.
  int64_t top(const Tokens& tokens, size_t n) {
    numbering_.begin(candidates_.size());
    groups_.resize(candidates_.size()), firsts_.clear(), counts_.clear();
    for (size_t c = 0; c < candidates_.size(); ++c) {
      const uint32_t i = candidates_[c];
      uint64_t hash = scramble(hashes_[i]);
      for (size_t k = 2; k < n; ++k) hash = scramble(hash ^ tokens.marks[i + k].hash);
      const uint32_t group = numbering_.number(hash, [&](uint32_t other) { return tokens.same(firsts_[other], i, n); });
      if (group == firsts_.size()) firsts_.push_back(i), counts_.push_back(0);
      groups_[c] = group, ++counts_[group];
    }
    uint32_t count = 1, first = 0;  // if nothing repeats, all are equally frequent, and the first one is taken
    for (size_t group = 0; group < counts_.size(); ++group)
      if (counts_[group] > count) count = counts_[group], first = firsts_[group];
    size_t kept = 0;
    for (size_t c = 0; c + 1 < candidates_.size(); ++c)
      if (counts_[groups_[c]] > 1 && candidates_[c + 1] == candidates_[c] + 1 && counts_[groups_[c + 1]] > 1)
        candidates_[kept++] = candidates_[c];
    candidates_.resize(kept);
    return count * (tokens.chars(first, n) + static_cast<int64_t>(n) - 1);
  }
};

// The n-grams seen before, as the bytes of their tokens joined: tokens cut at other places can give the same bytes, so
// nothing follows from the tokens. But equal strings begin with equal bytes: where the first 8, 16 or 32 of what stands
// from a token on come only once, no n-gram of that many bytes starting there repeats.
class DuplicateNgrams {
 public:
  // Writes, per n = 5..10, the characters of the n-grams that the greedy scan meets again.
  void count(const Tokens& tokens, int64_t* row) {
    if (tokens.size() < kShortestDuplicate) return;
    find_candidates(tokens);
    release_large(hashes_);
    for (size_t n = kShortestDuplicate; n <= kLongestDuplicate; ++n) row[n - kShortestDuplicate] = scan(tokens, n);
    may_repeat_.release(), numbering_.release(), release_large(candidates_), release_large(firsts_);
  }

 private:
  static constexpr size_t kWindows[3] = {8, 16, 32};
  struct Candidate {
    uint32_t at;
    uint32_t bytes;  // an n-gram from here on can repeat if it is shorter than this
  };
  std::vector<Candidate> candidates_;
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> firsts_;
  MayRepeat may_repeat_;
  Numbering numbering_;

  static uint64_t window_hash(const char* at, size_t window) {
    uint64_t hash = 0;
    for (size_t i = 0; i < window; i += 8) hash = ((hash ^ hash >> 32) + eight_bytes(at + i)) * kOdd;
    return hash;
  }

  void find_candidates(const Tokens& tokens) {
    const size_t size = tokens.size() - kShortestDuplicate + 1;
    candidates_.resize(size);
    for (size_t i = 0; i < size; ++i) candidates_[i] = {static_cast<uint32_t>(i), UINT32_MAX};
    for (const size_t window : kWindows) limit(tokens, window);
  }

  // What does not repeat with the window before cannot repeat with a longer one, and is not looked at again; it goes if
  // its shortest n-gram is no shorter than the window.
  void limit(const Tokens& tokens, size_t window) {
    hashes_.resize(candidates_.size());
    may_repeat_.begin(candidates_.size());
    for (size_t k = 0; k < candidates_.size(); ++k)
      if (candidates_[k].bytes == UINT32_MAX)
        may_repeat_.add(hashes_[k] = window_hash(tokens.at(candidates_[k].at), window));
    size_t kept = 0;
    for (size_t k = 0; k < candidates_.size(); ++k) {
      Candidate candidate = candidates_[k];
      if (candidate.bytes == UINT32_MAX && !may_repeat_(hashes_[k])) candidate.bytes = static_cast<uint32_t>(window);
      candidates_[kept] = candidate;
      kept += tokens.bytes(candidate.at, kShortestDuplicate) < candidate.bytes;
    }
    candidates_.resize(kept);
  }

  int64_t scan(const Tokens& tokens, size_t n) {
    const bool many = candidates_.size() > kMany;
    if (many) look_ahead(tokens, n);
    numbering_.begin(candidates_.size()), firsts_.clear();
    int64_t chars = 0;
    size_t from = 0;
    for (const Candidate& candidate : candidates_) {
      const size_t i = candidate.at;
      if (i + n > tokens.size()) break;
      if (i < from || tokens.bytes(i, n) >= candidate.bytes) continue;
      const std::string_view ngram = tokens.joined(i, n);
      const uint64_t hash = hash_bytes(ngram);
      if (many && !may_repeat_(hash)) continue;
      const auto same = [&](uint32_t other) {
        const size_t j = firsts_[other];
        return tokens.bytes(j, n) == ngram.size() && same_bytes(tokens.at(j), ngram.data(), ngram.size());
      };
      if (numbering_.number(hash, same) == firsts_.size()) {
        firsts_.push_back(candidate.at);
      } else {
        chars += tokens.chars(i, n), from = i + n;
      }
    }
    return chars;
  }

  // Of very many n-grams only those that may come twice are numbered: a number takes more memory.
  void look_ahead(const Tokens& tokens, size_t n) {
    may_repeat_.begin(candidates_.size());
    for (const Candidate& candidate : candidates_)
      if (candidate.at + n <= tokens.size() && tokens.bytes(candidate.at, n) < candidate.bytes)
        may_repeat_.add(hash_bytes(tokens.joined(candidate.at, n)));
  }
};

}  // namespace mixwright
