// The counts behind datatrove's rules, and the text that C4's leave: see tasks/curate/statistics/english.py and
// tasks/curate/rewriting/c4.py, whose fallbacks give the same integers and the same bytes.
#include <algorithm>

#include "arrow.h"
#include "datatrove_c4.h"
#include "datatrove_ngrams.h"

namespace {

using namespace mixwright;

// ---- Gopher --------------------------------------------------------------------------------------------------------

// The columns, in the order of `COUNTED` in english.py.
enum EnglishColumn : int64_t {
  kCharacters, kParagraphs, kDuplicateParagraphs, kDuplicateParagraphChars, kLines, kDuplicateLines, kDuplicateLineChars,
  kTop, kDuplicate = kTop + kLongestTop - kShortestTop + 1,
  kTokens = kDuplicate + kLongestDuplicate - kShortestDuplicate + 1, kWords, kWordChars, kHashes, kEllipses, kTextLines,
  kBulletLines, kEllipsisLines, kAlphabeticTokens, kStopWords, kEnglishColumns,
};

// All counts of one text after the other; what it holds is memory to use again, never a result.
class Gopher {
 public:
  void count(std::string_view text, int64_t* row) {
    if (text.size() >= UINT32_MAX) throw std::length_error("a text has 4 GiB or more");
    row[kCharacters] = count_chars(text);
    count_pieces(strip(text), 2, row + kParagraphs);
    count_pieces(text, 1, row + kLines);
    tokens_.read(english_, text);
    top_.count(tokens_, row + kTop);
    duplicate_.count(tokens_, row + kDuplicate);
    row[kTokens] = static_cast<int64_t>(tokens_.size());
    row[kWords] = tokens_.words, row[kWordChars] = tokens_.word_chars;
    row[kHashes] = std::count(text.begin(), text.end(), '#');
    row[kEllipses] = count_of(text, kEllipsis) + count_of(text, kEllipsisSign);
    for_each_line(text, [&](std::string_view line) {
      line = strip(line);
      ++row[kTextLines];
      row[kBulletLines] += starts_with(line, "-") || starts_with(line, kBullet);
      row[kEllipsisLines] += ends_with(line, kEllipsis) || ends_with(line, kEllipsisSign);
    });
    row[kAlphabeticTokens] = tokens_.alphabetic;
    for (unsigned found = tokens_.stop_words; found; found &= found - 1) ++row[kStopWords];
  }

 private:
  English& english_ = English::instance();
  Tokens tokens_;
  TopNgrams top_;
  DuplicateNgrams duplicate_;
  Duplicates duplicates_;

  void count_pieces(std::string_view text, size_t least, int64_t* row) {
    duplicates_.count(text, [&](std::string_view of, auto take) { for_each_piece(of, least, take); });
    row[0] = duplicates_.pieces, row[1] = duplicates_.again, row[2] = duplicates_.again_chars;
  }
};

// ---- Python --------------------------------------------------------------------------------------------------------

// Zeroes `rows`, int64 of N rows of `columns` numbers, and calls count(text, row) for every text.
template <class Count>
void fill_rows(const Texts& texts, const Buffer& rows, int64_t columns, Count count) {
  if (rows.size<int64_t>() != texts.size() * columns) throw std::invalid_argument("counts is of another size");
  std::memset(rows.as<int64_t>(), 0, static_cast<size_t>(texts.size() * columns) * sizeof(int64_t));
  for (int64_t i = 0; i < texts.size(); ++i) count(i, texts[i], rows.as<int64_t>() + i * columns);
}

PyObject* english_counts(PyObject*, PyObject* args) {
  PyObject *data, *offsets, *counts;
  if (!PyArg_ParseTuple(args, "OOO", &data, &offsets, &counts)) return nullptr;
  return guarded([&]() -> PyObject* {
    const Texts texts(data, offsets);
    const Buffer rows(counts, PyBUF_WRITABLE);
    Gopher gopher;
    fill_rows(texts, rows, kEnglishColumns, [&](int64_t, auto text, int64_t* row) { gopher.count(text, row); });
    Py_RETURN_NONE;
  });
}

PyObject* c4_rewrite(PyObject*, PyObject* args) {
  PyObject *data, *offsets, *counts, *rewritten;
  const char* terminals;
  Py_ssize_t size;
  C4Config c;
  if (!PyArg_ParseTuple(args, "OOs#(iiiiiiii)OO", &data, &offsets, &terminals, &size, &c.max_word_chars,
                        &c.min_words_per_line, &c.remove_citations, &c.lorem_ipsum, &c.curly_bracket,
                        &c.terminal_punctuation, &c.javascript, &c.policy, &counts, &rewritten))
    return nullptr;
  return guarded([&]() -> PyObject* {
    const Texts texts(data, offsets);
    const Buffer rows(counts, PyBUF_WRITABLE), ends(rewritten, PyBUF_WRITABLE);
    if (ends.size<int64_t>() != texts.size() + 1) throw std::invalid_argument("the new offsets are of another size");
    C4 c4(c, {terminals, static_cast<size_t>(size)});
    fill_rows(texts, rows, kC4Columns, [&](int64_t i, auto text, int64_t* row) {
      c4.rewrite(text, row);
      ends.as<int64_t>()[i + 1] = static_cast<int64_t>(c4.out.size());
    });
    ends.as<int64_t>()[0] = 0;
    return PyBytes_FromStringAndSize(c4.out.data(), static_cast<Py_ssize_t>(c4.out.size()));
  });
}

PyMethodDef methods[] = {
    {"english_counts", english_counts, METH_VARARGS, "english_counts(data, offsets, counts int64 [N, 26])"},
    {"c4_rewrite", c4_rewrite, METH_VARARGS,
     "c4_rewrite(data, offsets, terminal marks, config, counts int64 [N, 17], new offsets) -> new data"},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

MIXWRIGHT_MODULE(_mixwright_datatrove, methods)
