// The counts behind the Gopher rules, one pass per text: see tasks/curate/statistics/gopher.py, whose fallback gives the
// same integers. And the pre-tokens of tasks/curate/statistics/pretokens.py.
#include <algorithm>

#include "arrow.h"
#include "repetition.h"
#include "text.h"

namespace {

using namespace mixwright;

// The columns, in the order of `COUNTED` in gopher.py; the n-grams of 2 to 10 words follow.
enum Column : int64_t {
  kCharacters, kWords, kWordChars, kStopWords, kHashes, kEllipses, kAlphabeticWords,
  kLines, kLineChars, kBulletLines, kEllipsisLines, kDuplicateLines, kDuplicateLineChars,
  kParagraphs, kParagraphChars, kDuplicateParagraphs, kDuplicateParagraphChars,
  kNgrams,
};
constexpr int kShortest = 2, kLongestTop = 4, kLongest = 10;
constexpr int64_t kColumns = kNgrams + kLongest - kShortest + 1;

constexpr std::string_view kEllipsis = "...", kEllipsisSign = "\u2026";

int64_t count_of(std::string_view text, std::string_view part) {
  int64_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

bool ends_with(std::string_view text, std::string_view part) {
  return text.size() >= part.size() && text.substr(text.size() - part.size()) == part;
}

bool is_bullet(std::string_view line) {
  for (const std::string_view bullet : {"-", "*", "\u2022", "\u2023", "\u25e6", "\u25aa", "\u25cf", "\u2013"})
    if (line.substr(0, bullet.size()) == bullet) return true;
  return false;
}

// The bit of the stop word this is in lower case, capitalised or in upper case; 0 if it is none.
unsigned stop_word_bit(std::string_view word) {
  constexpr std::string_view kForms[8][3] = {
      {"the", "The", "THE"}, {"be", "Be", "BE"}, {"to", "To", "TO"}, {"of", "Of", "OF"},
      {"and", "And", "AND"}, {"that", "That", "THAT"}, {"have", "Have", "HAVE"}, {"with", "With", "WITH"}};
  if (word.size() < 2 || word.size() > 4) return 0;
  for (unsigned i = 0; i < 8; ++i)
    for (const std::string_view form : kForms[i])
      if (word == form) return 1u << i;
  return 0;
}

// Words, lines and paragraphs of one text. Both are runs of words: a gap with a line break ends a line, a gap with two
// "\n" a paragraph (which is what stripping the parts of `splitlines` and of a split at "\n\s*\n" comes to).
class Layout {
 public:
  // `spaced`: str -> str, which puts blanks between the words of a script that has none; null: words end at blanks only.
  explicit Layout(PyObject* spaced) : spaced_(spaced) {}

  std::vector<Part> words, lines, paragraphs;
  int64_t alphabetic = 0;

  void read(std::string_view text) {
    words.clear(), lines.clear(), paragraphs.clear();
    reserve_for(words, text.size()), reserve_for(lines, text.size()), reserve_for(paragraphs, text.size());
    alphabetic = 0, wide_ = 0;
    const char* at = text_ = text.data();
    const char* const end = at + text.size();
    Open line, paragraph;
    while (true) {
      const Gap gap = read_gap(at, end);
      if (gap.breaks || at == end) close(line, lines);
      if (gap.newlines >= 2 || at == end) close(paragraph, paragraphs);
      if (at == end) return;
      if (!line.start) line = {at, position(at)};
      if (!paragraph.start) paragraph = {at, position(at)};
      at = read_word(at, end);
    }
  }

 private:
  struct Gap {
    int64_t newlines = 0;
    bool breaks = false;
  };
  struct Open {
    const char* start = nullptr;
    int64_t position = 0;
  };
  PyObject* spaced_;
  const char* text_ = nullptr;
  int64_t wide_ = 0;  // continuation bytes up to where the reading is

  int64_t position(const char* at) const { return at - text_ - wide_; }

  Gap read_gap(const char*& at, const char* end) {
    Gap gap;
    while (at < end) {
      const char* next = at;
      const uint8_t classes = next_classes(next, end);
      if (!(classes & kSpace)) break;
      gap.newlines += *at == '\n';
      gap.breaks |= (classes & kLineBreak) != 0;
      wide_ += next - at - 1;
      at = next;
    }
    return gap;
  }

  const char* read_word(const char* const start, const char* end) {
    const int64_t wide_before = wide_;
    const char* at = start;
    uint8_t seen = 0;
    while (at < end) {
      uint8_t classes = byte_classes(*at);
      const char* next = at + 1;
      if (classes == kWide) classes = next_classes(next = at, end);
      if (classes & kSpace) break;
      seen |= classes;
      wide_ += next - at - 1;
      at = next;
    }
    // A letter of three bytes or more has two continuation bytes.
    if (spaced_ && wide_ - wide_before >= 2 && has_unspaced(between(start, at))) return read_spaced(start, at), at;
    alphabetic += (seen & kAlpha) != 0;
    words.push_back({between(start, at), at - start - (wide_ - wide_before)});
    return at;
  }

  void read_spaced(const char* start, const char* const end) {
    const Object word(PyUnicode_DecodeUTF8(start, end - start, nullptr));
    const Object answer(PyObject_CallOneArg(spaced_, word.get()));
    Py_ssize_t size = 0;
    const char* const bytes = PyUnicode_AsUTF8AndSize(answer.get(), &size);
    if (!bytes) throw std::runtime_error("");
    for_each_word({bytes, static_cast<size_t>(size)}, [&](std::string_view found) {
      const std::string_view part = between(start, start + std::min<int64_t>(end - start, static_cast<int64_t>(found.size())));
      if (part != found) throw std::invalid_argument("spaced() changed a word");
      uint8_t seen = 0;
      for (const char* at = part.data(); at < part.data() + part.size();) seen |= next_classes(at, end);
      alphabetic += (seen & kAlpha) != 0;
      words.push_back({part, count_chars(part)});
      start += part.size();
    });
    if (start != end) throw std::invalid_argument("spaced() changed a word");
  }

  // Ends what is open at the end of the last word. `wide_` already counts the gap behind it: take the characters of the
  // bytes themselves where there may be wide ones.
  void close(Open& open, std::vector<Part>& parts) {
    if (!open.start) return;
    const std::string_view bytes = between(open.start, words.back().bytes.data() + words.back().bytes.size());
    parts.push_back({bytes, wide_ ? count_chars(bytes) : static_cast<int64_t>(bytes.size())});
    open = {};
  }
};

// All counts of one text after the other; what it holds is memory to use again, never a result.
class Statistics {
 public:
  explicit Statistics(PyObject* spaced) : layout_(spaced) {}

  void count(std::string_view text, int64_t* row) {
    layout_.read(text);
    count_lines(row);
    words_.number(layout_.words);
    words_.settle();
    row[kCharacters] = count_chars(text);
    row[kWords] = static_cast<int64_t>(layout_.words.size());
    release_large(layout_.words);
    row[kWordChars] = words_.chars_before.back();
    row[kStopWords] = num_stop_words();
    row[kHashes] = count_of(text, "#");
    row[kEllipses] = count_of(text, kEllipsis) + count_of(text, kEllipsisSign);
    row[kAlphabeticWords] = layout_.alphabetic;
    count_ngrams(row + kNgrams);
  }

 private:
  Layout layout_;
  Spellings words_, parts_;
  Ngrams ngrams_;

  // Before the words are looked at: what an uncommonly large text needs for the one is given back for the other.
  void count_lines(int64_t* row) {
    write(count_parts(layout_.lines, parts_), row + kLines, row + kDuplicateLines);
    for (const Part& line : layout_.lines) {
      row[kBulletLines] += is_bullet(line.bytes);
      row[kEllipsisLines] += ends_with(line.bytes, kEllipsis) || ends_with(line.bytes, kEllipsisSign);
    }
    release_large(layout_.lines), parts_.release();
    write(count_parts(layout_.paragraphs, parts_), row + kParagraphs, row + kDuplicateParagraphs);
    release_large(layout_.paragraphs), parts_.release();
  }

  int64_t num_stop_words() const {
    unsigned seen = 0;
    for (const std::string_view word : words_.different()) seen |= stop_word_bit(word);
    int64_t found = 0;
    for (; seen; seen &= seen - 1) ++found;
    return found;
  }

  static void write(const PartCounts& counts, int64_t* all, int64_t* duplicates) {
    all[0] = counts.all, all[1] = counts.all_chars;
    duplicates[0] = counts.again, duplicates[1] = counts.again_chars;
  }

  void count_ngrams(int64_t* row) {
    ngrams_.begin(words_);
    for (int n = kShortest; n <= kLongest; ++n) {
      ngrams_.lengthen();
      *row++ = n <= kLongestTop ? ngrams_.top().covered_chars : ngrams_.duplicate_chars();
    }
  }
};

// Maximal runs of letters, maximal runs of decimal digits, and every other character that is not blank; letters of scripts
// without blanks make no runs.
int64_t count_pretokens(std::string_view text) {
  int64_t found = 0;
  uint8_t run = 0;
  const char* at = text.data();
  for (const char* const end = at + text.size(); at < end;) {
    const char* const start = at;
    const uint8_t classes = next_classes(at, end);
    uint8_t kind = classes & (kAlpha | kDecimal);
    if (at - start > 2 && has_unspaced(between(start, at))) kind = 0;
    found += kind ? kind != run : !(classes & kSpace);
    run = kind;
  }
  return found;
}

// Fills out, int64 of N rows of `columns` numbers, one row per text.
template <class Count>
PyObject* fill_rows(PyObject* data, PyObject* offsets, PyObject* out, int64_t columns, Count count) {
  return guarded([&]() -> PyObject* {
    const Texts texts(data, offsets);
    const Buffer rows(out, PyBUF_WRITABLE);
    if (rows.size<int64_t>() != texts.size() * columns) throw std::invalid_argument("out is of another size");
    std::memset(rows.as<int64_t>(), 0, static_cast<size_t>(texts.size() * columns) * sizeof(int64_t));
    for (int64_t i = 0; i < texts.size(); ++i) count(texts[i], rows.as<int64_t>() + i * columns);
    Py_RETURN_NONE;
  });
}

PyObject* gopher_counts(PyObject*, PyObject* args) {
  PyObject *data, *offsets, *out, *spaced;
  if (!PyArg_ParseTuple(args, "OOOO", &data, &offsets, &out, &spaced)) return nullptr;
  Statistics statistics(spaced == Py_None ? nullptr : spaced);
  const auto count = [&](std::string_view text, int64_t* row) { statistics.count(text, row); };
  return fill_rows(data, offsets, out, kColumns, count);
}

PyObject* pretokens(PyObject*, PyObject* args) {
  PyObject *data, *offsets, *out;
  if (!PyArg_ParseTuple(args, "OOO", &data, &offsets, &out)) return nullptr;
  return fill_rows(data, offsets, out, 1, [](std::string_view text, int64_t* row) { *row = count_pretokens(text); });
}

PyMethodDef methods[] = {
    {"gopher_counts", gopher_counts, METH_VARARGS,
     "gopher_counts(data, offsets, out int64 [N, 26], spaced: str -> str, or None for words between blanks)"},
    {"pretokens", pretokens, METH_VARARGS, "pretokens(data, offsets, out int64 [N])"},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

MIXWRIGHT_MODULE(_mixwright_gopher, methods)
