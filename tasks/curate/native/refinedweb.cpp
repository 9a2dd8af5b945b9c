// RefinedWeb's line rules and the counts of its document rules, as DCLM has them: one pass per text. The definitions
// stand in tasks/curate/rewriting/refinedweb.py and tasks/curate/statistics/refinedweb.py, whose fallbacks agree.
#include <deque>
#include <string>

#include "arrow.h"
#include "repetition.h"
#include "text.h"

namespace {

using namespace mixwright;

// The columns, in the order of `COUNTED` in rewriting/refinedweb.py.
enum Column : int64_t {
  kWords, kWhitespaceWords, kWordChars, kNonalphabeticWords, kStopWordOccurrences, kSymbols, kBulletLines,
  kEllipsisLines, kLines, kLineChars, kRepeatedLines, kRepeatedLineChars, kParagraphs, kParagraphChars,
  kRepeatedParagraphs, kRepeatedParagraphChars, kAnnexWordChars,
  kNgrams,  // of 2 to 10 words
  kLinesKept = kNgrams + 9, kUppercase, kNumeric, kCounter, kShort, kPhrase, kLineCuts, kWordsLeft,
  kColumns,
};

bool ends_with(std::string_view text, std::string_view part) {
  return text.size() >= part.size() && text.substr(text.size() - part.size()) == part;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Whether `text` starts with `part`, whatever the case of ASCII letters.
bool starts_like(std::string_view text, std::string_view part) {
  if (text.size() < part.size()) return false;
  for (size_t i = 0; i < part.size(); ++i)
    if (lower(text[i]) != lower(part[i])) return false;
  return true;
}

bool like(std::string_view text, std::string_view part) {
  return text.size() == part.size() && starts_like(text, part);
}

int64_t count_of(std::string_view text, std::string_view part) {
  int64_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

// ---- The document rules' counts ------------------------------------------------------------------------------------

// fastText's words that start with a letter or digit: blanks of ASCII, and nulls, divide.
int64_t num_words(std::string_view text) {
  int64_t found = 0;
  bool at_start = true;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const char first = *at;
    if (at_start) {
      found += (next_classes(at, end) & kAlnum) != 0;
    } else {
      ++at;  // Inside a word only ASCII matters, whatever the bytes of its characters.
    }
    at_start = first == ' ' || (first >= '\t' && first <= '\r') || first == '\0';
  }
  return found;
}

bool is_stop_word(std::string_view word) {
  if (word.size() < 2 || word.size() > 4) return false;
  for (const std::string_view stop : {"the", "be", "to", "of", "and", "that", "have", "with"})
    if (like(word, stop)) return true;
  return false;
}

bool has_letter(std::string_view word) {
  for (const char *at = word.data(), *end = at + word.size(); at < end;)
    if (next_classes(at, end) & kAlpha) return true;
  return false;
}

// Characters as the re module's \w sees them.
class WordChar {
 public:
  WordChar() = default;
  WordChar(const char*& at, const char* end) : underscore_(*at == '_'), classes_(next_classes(at, end)) {}
  bool alnum() const { return classes_ & kAlnum; }
  bool word() const { return alnum() || underscore_; }
  bool decimal() const { return classes_ & kDecimal; }
  bool letter() const { return alnum() && !decimal(); }

 private:
  bool underscore_ = false;
  uint8_t classes_ = 0;
};

// Whether a sign between two characters leaves them in one word (rules 6, 7, 11 and 12 of Unicode's annex 29).
bool joins(WordChar left, uint32_t sign, WordChar right) {
  const bool both = sign == '.' || sign == '\'' || sign == 0x2019;
  if (left.letter() && right.letter()) return both || sign == ':' || sign == 0xB7;
  return left.decimal() && right.decimal() && (both || sign == ',' || sign == ';');
}

// Returns the end of the word of annex 29 that starts at `at`, whose first character is a word character.
const char* annex_word_end(const char* at, const char* const end) {
  WordChar last;
  const char* stop = at;
  while (at < end) {
    const WordChar next(at, end);
    if (next.word()) {
      last = next, stop = at;
      continue;
    }
    const char* sign_at = stop;
    const uint32_t sign = decode(sign_at, end);
    if (sign_at == end) break;
    const WordChar behind(at, end);
    if (!joins(last, sign, behind)) break;
    last = behind, stop = at;
  }
  return stop;
}

class Document {
 public:
  void count(std::string_view text, int64_t* row) {
    row[kWords] = num_words(text);
    for (const std::string_view symbol : {"#", "...", ". . .", "\u2026"}) row[kSymbols] += count_of(text, symbol);
    for_each_word(text, [&](std::string_view word) {
      ++row[kWhitespaceWords], row[kWordChars] += count_chars(word);
      row[kNonalphabeticWords] += !has_letter(word);
      row[kStopWordOccurrences] += is_stop_word(word);
    });
    split(text, "\n");
    for (const Part& line : parts_) {
      for (const std::string_view bullet : {"\u25cf", "\u2022", "*", "-"})
        row[kBulletLines] += line.bytes.substr(0, bullet.size()) == bullet;
      row[kEllipsisLines] +=
          ends_with(line.bytes, "...") || ends_with(line.bytes, ". . .") || ends_with(line.bytes, "\u2026");
    }
    count_repeated(row + kLines);
    split(text, "\n\n");
    count_repeated(row + kParagraphs);
    count_ngrams(text, row);
  }

 private:
  std::vector<Part> parts_;
  Spellings spellings_;
  Ngrams ngrams_;

  // Takes the stripped parts of text.split(separator) that have something in them.
  void split(std::string_view text, std::string_view separator) {
    parts_.clear(), reserve_for(parts_, text.size());
    for (size_t start = 0, stop = 0; stop != text.npos; start = stop + separator.size()) {
      stop = text.find(separator, start);
      const std::string_view part = strip(text.substr(start, stop == text.npos ? stop : stop - start));
      if (!part.empty()) parts_.push_back({part, count_chars(part)});
    }
  }

  void count_repeated(int64_t* row) {
    const PartCounts found = count_parts(parts_, spellings_);
    row[0] = found.all, row[1] = found.all_chars, row[2] = found.repeated, row[3] = found.repeated_chars;
    release_large(parts_), spellings_.release();
  }

  void count_ngrams(std::string_view text, int64_t* row) {
    parts_.clear(), reserve_for(parts_, text.size());
    const char* const end = text.data() + text.size();
    for (const char* at = text.data(); at < end;) {
      const char* const start = at;
      const WordChar first(at, end);
      if (!first.word()) continue;
      at = annex_word_end(start, end);
      const std::string_view word = between(start, at);
      if (first.alnum()) parts_.push_back({word, count_chars(word)});
    }
    spellings_.number(parts_);
    release_large(parts_), spellings_.settle();
    row[kAnnexWordChars] = spellings_.chars_before.back();
    ngrams_.begin(spellings_);
    for (int n = 2; n <= 10; ++n) {
      ngrams_.lengthen();
      row[kNgrams + n - 2] = n <= 4 ? ngrams_.top().chars_times_count : ngrams_.repeated_chars();
    }
  }
};

// ---- The line rules ------------------------------------------------------------------------------------------------

// A phrase rule finds one of these at its place in a line.
enum class Place { kAnywhere, kEnd, kStart };

struct Config {
  double max_uppercase, max_numeric;
  int counters;
  long long min_words, phrase_max_words;
  std::vector<std::string> phrases, suffixes, prefixes;
};

// The share of the characters of a line (not empty) that are of a class.
double share(std::string_view line, uint8_t wanted) {
  int64_t members = 0, chars = 0;
  for (const char *at = line.data(), *end = at + line.size(); at < end; ++chars)
    members += (next_classes(at, end) & wanted) != 0;
  return static_cast<double>(members) / static_cast<double>(chars);
}

// A number and what is counted, as "1,234 likes" or "(2k views)", and no other word.
bool is_counter(std::string_view line) {
  const char* at = line.data();
  const char* const end = at + line.size();
  WordChar first;
  while (at < end && !first.word()) first = WordChar(at, end);
  if (!first.decimal()) return false;
  for (const char* next = at; next < end; at = next) {
    const char byte = *next;
    if (!WordChar(next, end).decimal() && byte != ',' && byte != '.') break;
  }
  if (at < end && (lower(*at) == 'k' || lower(*at) == 'm' || lower(*at) == 'b')) ++at;
  const char* const blanks = at;
  for (const char* next = at; next < end && next_classes(next, end) & kSpace;) at = next;
  if (at == blanks) return false;
  const std::string_view rest = between(at, end);
  for (const std::string_view counted : {"likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks",
                                         "upvotes", "downvotes", "downloads", "views", "followers"}) {
    if (!starts_like(rest, counted)) continue;
    for (at += counted.size(); at < end;)
      if (WordChar(at, end).word()) return false;
    return true;
  }
  return false;
}

// Whether a line has at least `least` whitespace words.
bool has_words(std::string_view line, long long least) {
  bool inside = false;
  for (const char *at = line.data(), *end = at + line.size(); at < end && least > 0;) {
    const bool blank = next_classes(at, end) & kSpace;
    least -= !blank && !inside;
    inside = !blank;
  }
  return least <= 0;
}

bool is_blank(std::string_view text) { return strip(text).empty(); }

// The bytes of the blank at `at`, 0 if there is none.
size_t blank_at(std::string_view line, size_t at) {
  if (at >= line.size()) return 0;
  const char* next = line.data() + at;
  return next_classes(next, line.data() + line.size()) & kSpace ? static_cast<size_t>(next - line.data()) - at : 0;
}

// The bytes of the first phrase that `text` starts with (or, `whole`, that it is); 0 if there is none.
size_t phrase_at(std::string_view text, const std::vector<std::string>& phrases, bool whole) {
  for (const std::string& phrase : phrases)
    if (starts_like(text, phrase) && (!whole || text.size() == phrase.size())) return phrase.size();
  return 0;
}

// The first phrase from `from` on, with the blank beside it: where it starts and ends; no place if there is none.
struct Cut {
  size_t start = std::string_view::npos, end = 0;
};
Cut find_cut(std::string_view line, size_t from, const std::vector<std::string>& phrases, Place place) {
  if (place == Place::kStart) {
    const size_t size = from ? 0 : phrase_at(line, phrases, false);
    return size ? Cut{0, size + blank_at(line, size)} : Cut{};
  }
  for (size_t at = from; at < line.size(); ++at) {
    const size_t size = phrase_at(line.substr(at), phrases, place == Place::kEnd);
    if (!size) continue;
    const char* const floor = line.data() + from;
    const size_t left = at == from ? at : static_cast<size_t>(before(floor, line.data() + at) - line.data());
    return {blank_at(line, left) ? left : at, at + size};
  }
  return {};
}

class LineRules {
 public:
  explicit LineRules(const Config& config) : config_(config) {}

  // Appends what the rules leave of a text, and counts.
  void apply(std::string_view text, std::string& out, int64_t* row) {
    lines_.clear(), cut_lines_.clear();
    for (size_t start = 0, stop = 0; stop != text.npos; start = stop + 1) {
      stop = text.find('\n', start);
      lines_.push_back(text.substr(start, stop == text.npos ? stop : stop - start));
    }
    const double most_upper = config_.max_uppercase, most_numeric = config_.max_numeric;
    if (most_upper <= 1) drop(row[kUppercase], [&](auto line) { return !(share(line, kUpper) <= most_upper); });
    if (most_numeric <= 1) drop(row[kNumeric], [&](auto line) { return !(share(line, kDigit) <= most_numeric); });
    if (config_.counters) drop(row[kCounter], is_counter);
    if (config_.min_words) drop(row[kShort], [&](auto line) { return !has_words(line, config_.min_words); });
    cut(config_.phrases, Place::kAnywhere, row);
    cut(config_.suffixes, Place::kEnd, row);
    cut(config_.prefixes, Place::kStart, row);
    const size_t start = out.size();
    for (const std::string_view& line : lines_) {
      if (&line != &lines_.front()) out += '\n';
      out += line;
      row[kLinesKept] += !is_blank(line);
    }
    row[kWordsLeft] = num_words(std::string_view(out).substr(start));
  }

 private:
  const Config& config_;
  std::vector<std::string_view> lines_;
  std::deque<std::string> cut_lines_;

  template <class Fails>
  void drop(int64_t& removed, Fails fails) {
    size_t kept = 0;
    for (const std::string_view line : lines_) {
      if (line.empty() || !fails(line)) {
        lines_[kept++] = line;
      } else {
        removed += !is_blank(line);
      }
    }
    lines_.resize(kept);
    strip_lines();
  }

  void cut(const std::vector<std::string>& phrases, Place place, int64_t* row) {
    if (phrases.empty()) return;
    size_t kept = 0;
    for (std::string_view line : lines_) {
      if (!line.empty() && !has_words(line, config_.phrase_max_words + 1)) {
        const std::string_view left = without(line, phrases, place);
        if (is_blank(left)) {
          row[kPhrase] += !is_blank(line);
          continue;
        }
        row[kLineCuts] += left.size() != line.size();
        line = left;
      }
      lines_[kept++] = line;
    }
    lines_.resize(kept);
    strip_lines();
  }

  std::string_view without(std::string_view line, const std::vector<std::string>& phrases, Place place) {
    Cut found = find_cut(line, 0, phrases, place);
    if (found.start == line.npos) return line;
    std::string& left = cut_lines_.emplace_back();
    size_t from = 0;
    for (; found.start != line.npos; found = find_cut(line, from, phrases, place)) {
      left += line.substr(from, found.start - from);
      from = found.end;
    }
    return left += line.substr(from);
  }

  // DCLM strips the text after every rule, and the next one sees it that way.
  void strip_lines() {
    size_t first = 0, last = lines_.size();
    while (first < last && is_blank(lines_[first])) ++first;
    while (first < last && is_blank(lines_[last - 1])) --last;
    lines_.erase(lines_.begin() + static_cast<std::ptrdiff_t>(last), lines_.end());
    lines_.erase(lines_.begin(), lines_.begin() + static_cast<std::ptrdiff_t>(first));
    if (lines_.empty()) {
      lines_.emplace_back();
      return;
    }
    const std::string_view front = lines_.front();
    const size_t indent = static_cast<size_t>(strip(front).data() - front.data());
    lines_.front() = front.substr(indent);
    const std::string_view back = lines_.back(), stripped = strip(back);
    lines_.back() = back.substr(0, static_cast<size_t>(stripped.data() - back.data()) + stripped.size());
  }
};

std::vector<std::string> strings(PyObject* tuple) {
  std::vector<std::string> found;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
    char* bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(tuple, i), &bytes, &size) < 0) throw std::runtime_error("");
    found.emplace_back(bytes, static_cast<size_t>(size));
  }
  return found;
}

PyObject* rewrite(PyObject*, PyObject* args) {
  PyObject *data, *offsets, *phrases, *suffixes, *prefixes, *counts, *out_offsets;
  Config config{};
  if (!PyArg_ParseTuple(args, "OOddpLLO!O!O!OO", &data, &offsets, &config.max_uppercase, &config.max_numeric,
                        &config.counters, &config.min_words, &config.phrase_max_words, &PyTuple_Type, &phrases,
                        &PyTuple_Type, &suffixes, &PyTuple_Type, &prefixes, &counts, &out_offsets))
    return nullptr;
  return guarded([&]() -> PyObject* {
    config.phrases = strings(phrases), config.suffixes = strings(suffixes), config.prefixes = strings(prefixes);
    const Texts texts(data, offsets);
    const Buffer rows(counts, PyBUF_WRITABLE), ends(out_offsets, PyBUF_WRITABLE);
    if (rows.size<int64_t>() != texts.size() * kColumns || ends.size<int64_t>() != texts.size() + 1)
      throw std::invalid_argument("counts or offsets are of another size");
    Document document;
    LineRules rules(config);
    std::string out;
    ends.as<int64_t>()[0] = 0;
    for (int64_t i = 0; i < texts.size(); ++i) {
      int64_t* row = rows.as<int64_t>() + i * kColumns;
      document.count(texts[i], row);
      rules.apply(texts[i], out, row);
      ends.as<int64_t>()[i + 1] = static_cast<int64_t>(out.size());
    }
    return PyBytes_FromStringAndSize(out.data(), static_cast<Py_ssize_t>(out.size()));
  });
}

PyMethodDef methods[] = {
    {"rewrite", rewrite, METH_VARARGS,
     "rewrite(data, offsets, max_uppercase, max_numeric, counters, min_words, phrase_max_words, phrases, suffixes, "
     "prefixes, counts int64 [N, 34] of zeros, offsets int64 [N + 1]) -> the texts' bytes"},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

MIXWRIGHT_MODULE(_mixwright_refinedweb, methods)
