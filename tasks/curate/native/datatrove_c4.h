// C4's line rules and FineWeb's statistics as datatrove applies them: see tasks/curate/rewriting/c4.py.
#pragma once

#include <algorithm>
#include <string>

#include "datatrove_text.h"
#include "english.h"

namespace mixwright {

// The columns, in the order of `COUNTED` in c4.py.
enum C4Column : int64_t {
  kLoremIpsum, kCurlyBracket, kSentences, kLinesKept,
  kTooLongWord, kNoTerminalPunctuation, kTooFewWords, kJavascript, kPolicy,
  kRewrittenCharacters, kRewrittenLines, kTerminalLines, kShortLines, kDuplicateChars, kLineChars, kNewlines,
  kRewrittenTokens, kC4Columns,
};
inline constexpr int64_t kShortLineChars = 30;

struct C4Config {
  int max_word_chars, min_words_per_line;  // -1 and 0: off
  int remove_citations, lorem_ipsum, curly_bracket, terminal_punctuation, javascript, policy;
};

inline bool has_longer_word(std::string_view line, int max_chars) {
  if (line.size() <= static_cast<size_t>(max_chars)) return false;
  bool found = false;
  for_each_word(line, [&](std::string_view word) {
    found = found || (word.size() > static_cast<size_t>(max_chars) && count_chars(word) > max_chars);
  });
  return found;
}

inline bool has_fewer_words(std::string_view line, int min_words) {
  int words = 0;
  const char* at = line.data();
  bool in_word = false;
  for (const char* const end = at + line.size(); at < end && words < min_words;) {
    const bool space = next_classes(at, end) & kSpace;
    words += !space && !in_word;
    in_word = !space;
  }
  return words < min_words;
}

// The length of the citation that starts at this bracket: \[\d*] or \[edit] or \[citation needed]; 0 if none does.
inline size_t citation_size(std::string_view text) {
  for (const std::string_view citation : {std::string_view("[edit]"), std::string_view("[citation needed]")})
    if (starts_with(text, citation)) return citation.size();
  const char* at = text.data() + 1;
  const char* const end = text.data() + text.size();
  while (at < end && *at != ']')
    if (!(next_classes(at, end) & kDecimal)) return 0;
  return at < end ? static_cast<size_t>(at + 1 - text.data()) : 0;
}

// Appends the line without its citations to `out`; false (and nothing appended) if it has none.
inline bool cut_citations(std::string_view line, std::string& out) {
  size_t done = 0;
  for (size_t at = line.find('['); at != line.npos;) {
    const size_t size = citation_size(line.substr(at));
    if (size) {
      out.append(line, done, at - done);
      done = at + size;
    }
    at = line.find('[', at + std::max<size_t>(size, 1));
  }
  if (done) out.append(line, done);
  return done > 0;
}

inline bool ends_a_sentence(std::string_view line) {
  if (line.empty() || ends_with(line, kEllipsis)) return false;
  const char last = line.back();
  return last == '.' || last == '?' || last == '!' || last == '"' || last == '\'';
}

// What C4 looks for in a line, whatever the case.
struct Phrases {
  bool lorem_ipsum = false, javascript = false, policy = false;
};

// Whether `part` (lower case, no letter beside a to z) stands `before` bytes before `at`.
inline bool stands(std::string_view line, size_t at, size_t before, std::string_view part) {
  if (at < before || line.size() - (at - before) < part.size()) return false;
  for (size_t i = 0; i < part.size(); ++i) {
    const char c = line[at - before + i];
    if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != part[i]) return false;
  }
  return true;
}

// Each phrase is looked for where its rarest letter stands.
inline Phrases find_phrases_ascii(std::string_view line) {
  static const std::array<bool, 256> anchors = [] {
    std::array<bool, 256> found{};
    for (const char c : std::string_view("jJpPvVfFkK")) found[static_cast<unsigned char>(c)] = true;
    return found;
  }();
  Phrases found;
  for (size_t at = 0; at < line.size(); ++at) {
    if (!anchors[static_cast<unsigned char>(line[at])]) continue;
    switch (line[at] | 0x20) {
      case 'j': found.javascript |= stands(line, at, 0, "javascript"); break;
      case 'p': found.lorem_ipsum |= stands(line, at, 7, "lorem ipsum"); break;
      case 'v': found.policy |= stands(line, at, 3, "privacy policy"); break;
      case 'f': found.policy |= stands(line, at, 7, "terms of use"); break;
      case 'k':
        found.policy |= stands(line, at, 3, "cookie policy") || stands(line, at, 8, "uses cookies") ||
                        stands(line, at, 10, "use of cookies") || stands(line, at, 7, "use cookies");
        break;
      default: break;
    }
  }
  return found;
}

// The Kelvin sign is the one character outside ASCII that lower() turns into a letter of these phrases: it gives "k".
// (U+0130 gives "i" with a dot behind it; no phrase has an "i" at its end.)
inline Phrases find_phrases(std::string_view line) {
  constexpr std::string_view kKelvin = "\u212a";
  size_t at = line.find(kKelvin);
  if (at == line.npos) return find_phrases_ascii(line);
  std::string lower(line);
  for (; at != lower.npos; at = lower.find(kKelvin, at)) lower.replace(at, kKelvin.size(), "k");
  return find_phrases_ascii(lower);
}

// Counts tokens, and sentences as spaCy's sentencizer starts them: at a token that is no punctuation, behind one that
// ends a sentence and the punctuation that follows it. Blanks are a token too, unless they are one " ".
class Sentences {
 public:
  int64_t tokens = 0;

  int64_t count(English& english, std::string_view line) {
    int64_t sentences = 1;  // datatrove counts one even in an empty line
    size_t before = 0;
    bool ended = false;
    const auto blanks = [&](size_t end) {
      if (end == before || (end == before + 1 && line[before] == ' ')) return;
      sentences += ended, ended = false;
    };
    english.tokens(line, [&](const Token& token, size_t begin) {
      ++tokens;
      blanks(begin);
      if (token.flags & Token::STOP) {
        ended = true;
      } else if (ended && !(token.flags & Token::PUNCT)) {
        ++sentences, ended = false;
      }
      before = begin + token.bytes;
    });
    blanks(line.size());
    return sentences;
  }
};

// Rewrites one text after the other, behind the one before in `out`.
class C4 {
 public:
  std::string out;

  C4(const C4Config& config, std::string_view terminals) : config_(config) {
    for (const char *at = terminals.data(), *end = at + terminals.size(); at < end;)
      terminals_.push_back(decode(at, end));
    std::sort(terminals_.begin(), terminals_.end());
  }

  void rewrite(std::string_view text, int64_t* row) {
    const size_t start = out.size();
    sentences_.tokens = 0;
    for_each_line(text, [&](std::string_view line) { take(strip(line), row); });
    if (row[kLinesKept]) out.pop_back();  // the "\n" behind the last line
    const std::string_view rest = strip(std::string_view(out).substr(start));
    const size_t skipped = static_cast<size_t>(rest.data() - (out.data() + start)), size = rest.size();
    out.resize(start + skipped + size);
    out.erase(start, skipped);
    row[kRewrittenTokens] = sentences_.tokens;
    count_fineweb(std::string_view(out).substr(start), row);
  }

 private:
  C4Config config_;
  std::vector<uint32_t> terminals_;
  English& english_ = English::instance();
  Sentences sentences_;
  Duplicates duplicates_;
  std::string cut_;

  void take(std::string_view line, int64_t* row) {
    const C4Column verdict = judge(line, row);
    ++row[verdict];
    if (verdict != kLinesKept) return;
    row[kSentences] += sentences_.count(english_, line);
    out.append(line).push_back('\n');
  }

  // The first rule that removes the line, which loses its citations on the way; kLinesKept if none does.
  C4Column judge(std::string_view& line, int64_t* row) {
    const std::string_view whole = line;
    if (config_.max_word_chars >= 0 && has_longer_word(line, config_.max_word_chars)) return kTooLongWord;
    cut_.clear();
    if (config_.remove_citations && cut_citations(line, cut_)) line = cut_;
    if (config_.terminal_punctuation && !ends_a_sentence(line)) return kNoTerminalPunctuation;
    if (has_fewer_words(whole, config_.min_words_per_line)) return kTooFewWords;
    const Phrases phrases = find_phrases(line);
    if (config_.lorem_ipsum && phrases.lorem_ipsum) condemn(row, kLoremIpsum);
    if (config_.javascript && phrases.javascript) return kJavascript;
    if (config_.curly_bracket && line.find('{') != line.npos) condemn(row, kCurlyBracket);
    if (config_.policy && phrases.policy) return kPolicy;
    return kLinesKept;
  }

  static void condemn(int64_t* row, C4Column rule) {
    if (!row[kLoremIpsum] && !row[kCurlyBracket]) row[rule] = 1;
  }

  void count_fineweb(std::string_view text, int64_t* row) {
    const int64_t newlines = std::count(text.begin(), text.end(), '\n');
    row[kRewrittenCharacters] = count_chars(text);
    row[kNewlines] = newlines, row[kLineChars] = row[kRewrittenCharacters] - newlines;
    duplicates_.count(text, [&](std::string_view of, auto take) {
      for_each_piece(of, 1, [&](std::string_view line) {
        if (strip(line).empty()) return;
        row[kTerminalLines] += is_terminal(line);
        row[kShortLines] += line.size() <= 4 * kShortLineChars && count_chars(line) <= kShortLineChars;
        take(line);
      });
    });
    row[kRewrittenLines] = duplicates_.pieces, row[kDuplicateChars] = duplicates_.again_chars;
  }

  bool is_terminal(std::string_view line) const {
    const char* last = before(line.data(), line.data() + line.size());
    return std::binary_search(terminals_.begin(), terminals_.end(), decode(last, line.data() + line.size()));
  }
};

}  // namespace mixwright
