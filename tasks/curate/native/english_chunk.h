// The tokens of one chunk (characters without whitespace): the rules of tasks/curate/english/{chunks,urls}.py, in the
// same order. Time is linear in the chunk.
#pragma once

#include "english_facts.h"

namespace mixwright::english {

using Pieces = std::vector<std::string_view>;

class Splitter {
 public:
  explicit Splitter(Facts& facts) : facts_(facts), classes_(*facts.classes) {}

  // Appends the tokens of a chunk to `pieces`, views into it. Without exceptions: what the other rules give.
  void split(std::string_view chunk, bool with_exceptions, Pieces& pieces) {
    decode_chunk(chunk);
    with_exceptions_ = with_exceptions;
    cuts_.clear();
    suffixes_.clear();
    const size_t size = points_.size();
    size_t start = 0, end = size;
    while (start < end && !exception(start, end)) {
      const size_t after = start + prefix(start, end);
      if (after > start && exception(after, end)) {
        cuts_.push_back(start = after);
        break;
      }
      const size_t before = end - suffix(after, end);
      if (before < end && exception(start, before)) {
        suffixes_.push_back(end = before);
        break;
      }
      if (after == start && before == end) break;
      if (after > start) cuts_.push_back(after);
      if (before < end) suffixes_.push_back(before);
      start = after, end = before;
    }
    split_middle(start, end);
    for (size_t i = suffixes_.size(); i-- > 0;) cuts_.push_back(i ? suffixes_[i - 1] : size);
    size_t from = 0;
    for (const size_t cut : cuts_) pieces.push_back(between(from, cut)), from = cut;
  }

 private:
  // ---- The chunk, decoded ------------------------------------------------------------------------------------------

  void decode_chunk(std::string_view chunk) {
    if (chunk.size() > UINT32_MAX) throw std::invalid_argument("a text has more than 4 GiB without whitespace");
    text_ = chunk.data();
    points_.clear(), bits_.clear(), bytes_.clear();
    const char* const end = text_ + chunk.size();
    for (const char* at = text_; at < end;) {
      bytes_.push_back(static_cast<uint32_t>(at - text_));
      points_.push_back(decode(at, end));
      bits_.push_back(classes_(points_.back()));
    }
    bytes_.push_back(static_cast<uint32_t>(chunk.size()));
  }

  std::string_view between(size_t start, size_t end) const {
    return {text_ + bytes_[start], bytes_[end] - bytes_[start]};
  }
  bool is(size_t at, uint32_t classes) const { return bits_[at] & classes; }

  const Exception* exception(size_t start, size_t end) const {
    if (!with_exceptions_ || start >= end || bytes_[end] - bytes_[start] > facts_.longest_exception) return nullptr;
    const auto found = facts_.exception_of.find(between(start, end));
    return found == facts_.exception_of.end() ? nullptr : found->second;
  }

  // ---- Affixes: lengths in characters, 0 for none ------------------------------------------------------------------

  size_t prefix(size_t start, size_t end) const {
    if (is(start, PREFIX)) return 1;
    const uint32_t c = points_[start];
    if (c == '.') {
      const size_t run = periods(start, end);
      return run > 1 ? run : 0;
    }
    if (c == '+') return start + 1 < end && is(start + 1, DIGIT) ? 0 : 1;
    const std::string_view rest = between(start, end);
    for (const auto& prefix : facts_.prefixes)
      if (rest.substr(0, prefix.size()) == prefix) return static_cast<size_t>(count_chars(prefix));
    return 0;
  }

  size_t periods(size_t start, size_t end) const {
    size_t at = start;
    while (at < end && points_[at] == '.') ++at;
    return at - start;
  }

  // The longest suffix. What a rule looks at before it must be inside [start, end), too.
  size_t suffix(size_t start, size_t end) const {
    if (start >= end) return 0;
    if (points_[end - 1] == '.') return period_suffix(start, end);
    size_t longest = std::max<size_t>(is(end - 1, SUFFIX), unit_suffix(start, end));
    const std::string_view whole = between(start, end);
    for (const auto& suffix : facts_.suffixes)
      if (whole.back() == suffix.back() && whole.size() >= suffix.size() &&
          whole.substr(whole.size() - suffix.size()) == suffix)
        longest = std::max(longest, static_cast<size_t>(count_chars(suffix)));
    return longest;
  }

  size_t period_suffix(size_t start, size_t end) const {
    size_t before = end;
    while (before > start && points_[before - 1] == '.') --before;
    if (end - before > 1) return end - before;
    if (before == start) return 0;
    if (is(before - 1, BEFORE_PERIOD)) return 1;
    if (before - 1 == start) return 0;
    if (is(before - 1, UPPER) && is(before - 2, UPPER)) return 1;
    const uint32_t scale = points_[before - 1] | 0x20u;
    return points_[before - 2] == 0xB0 && (scale == 'f' || scale == 'c' || scale == 'k') && points_[before - 1] < 128;
  }

  // No unit holds a digit: only what follows the last digit can be one.
  size_t unit_suffix(size_t start, size_t end) const {
    for (size_t size = 0; size <= facts_.longest_after_digit && start + size < end; ++size)
      if (is(end - 1 - size, DIGIT)) return size && facts_.after_digit_set.count(between(end - size, end)) ? size : 0;
    return 0;
  }

  // ---- The middle --------------------------------------------------------------------------------------------------

  void split_middle(size_t start, size_t end) {
    if (start == end) return;
    if (const Exception* known = exception(start, end)) {
      for (const auto& token : known->tokens) cuts_.push_back(start += static_cast<size_t>(count_chars(token)));
      return;
    }
    size_t from = start;
    if (!is_url(start, end)) {
      // No infix starts the middle: one that looks at nothing before it is a prefix, too.
      for (size_t at = start; at < end;) {
        const size_t size = is(at, CUTS) ? infix(at, start, end) : 0;
        if (size) {
          if (at > from) cuts_.push_back(at);
          cuts_.push_back(from = at + size);
        }
        at += std::max<size_t>(size, 1);
      }
    }
    if (from < end) cuts_.push_back(end);
  }

  size_t infix(size_t at, size_t start, size_t end) const {
    const uint32_t c = points_[at];
    if (c == '.') {
      const size_t run = periods(at, end);
      if (run > 1) return run;
    }
    if (is(at, INFIX)) return 1;
    if (at == start || at + 1 >= end) return 0;
    if (c == '.') return is(at - 1, LOWER | QUOTE) && is(at + 1, UPPER | QUOTE);
    if (c == ',') return is(at - 1, ALPHA) && is(at + 1, ALPHA);
    if ((c == '+' || c == '-' || c == '*' || c == '^') && is(at - 1, DIGIT) &&
        (is(at + 1, DIGIT) || points_[at + 1] == '-'))
      return 1;
    if (!is(at - 1, ALPHA | DIGIT)) return 0;
    if (is(at, HYPHEN)) return hyphen(at, end);
    return (c == ':' || c == '<' || c == '>' || c == '=' || c == '/') && is(at + 1, ALPHA);
  }

  // The hyphen that a letter follows; hyphens are runs of one character, so there is at most one.
  size_t hyphen(size_t at, size_t end) const {
    const std::string_view rest = between(at, end);
    for (const auto& hyphen : facts_.hyphens) {
      const auto next = at + static_cast<size_t>(count_chars(hyphen));
      if (next < end && is(next, ALPHA) && rest.substr(0, hyphen.size()) == hyphen) return next - at;
    }
    return 0;
  }

  // ---- Addresses: [scheme://][user@]host[:port][path] --------------------------------------------------------------

  bool is_url(size_t start, size_t end) {
    if (between(start, end).find('.') == std::string_view::npos) return false;
    if (is_host_and_path(start, end)) return true;
    size_t scheme = start;
    while (scheme < end && (is(scheme, WORD_CHAR) || is_one_of(scheme, "+-."))) ++scheme;
    const bool has_scheme = scheme >= start + 2 && between(scheme, end).substr(0, 3) == "://";
    if (has_scheme && is_host_and_path(scheme + 3, end)) return true;
    for (size_t at = start + 1; at < end; ++at)
      if (points_[at] == '@' && is_host_and_path(at + 1, end)) return true;
    return false;
  }

  bool is_one_of(size_t at, std::string_view characters) const {
    const uint32_t c = points_[at];
    return c < 128 && characters.find(static_cast<char>(c)) != std::string_view::npos;
  }

  bool is_host_and_path(size_t start, size_t end) {
    size_t host_end = start;
    labels_.clear();
    for (; host_end < end && !is_one_of(host_end, ":/?#@"); ++host_end)
      if (points_[host_end] == '.') labels_.push_back(host_end);
    labels_.push_back(host_end);
    return is_tail(host_end, end) && (is_ip_address(start) || is_domain(start));
  }

  // Nothing, or a port of 2 to 5 digits, or a path, or both.
  bool is_tail(size_t at, size_t end) const {
    if (at < end && points_[at] == ':') {
      size_t digits = 0;
      while (++at < end && is(at, DECIMAL)) ++digits;
      if (digits < 2 || digits > 5) return false;
    }
    return at == end || is_one_of(at, "/?#");
  }

  // labels_ holds the ends of the labels; the first starts at `start`, the others behind the period.
  bool is_domain(size_t start) const {
    if (labels_.size() < 2) return false;
    for (size_t i = 0; i + 1 < labels_.size(); ++i) {
      const size_t stop = labels_[i];
      if (stop == start || stop - start > 64 || !is(start, LABEL) || !is(stop - 1, LABEL)) return false;
      for (size_t at = start; at < stop; ++at)
        if (!is(at, LABEL) && !is_one_of(at, "_-")) return false;
      start = stop + 1;
    }
    const size_t stop = labels_.back();
    if (stop < start + 2 || stop - start > 63) return false;
    for (size_t at = start; at < stop; ++at)
      if (!is(at, LOWER)) return false;
    return true;
  }

  // The first octet is 1 to 223, the last neither 0 nor 255; private and local networks are none. A digit is any
  // decimal of Unicode, where the rule names no digit.
  bool is_ip_address(size_t start) const {
    if (labels_.size() != 4) return false;
    const size_t octets[4] = {start, labels_[0] + 1, labels_[1] + 1, labels_[2] + 1};
    return is_first_octet(octets[0], labels_[0]) && is_middle_octet(octets[1], labels_[1]) &&
           is_middle_octet(octets[2], labels_[2]) && is_last_octet(octets[3], labels_[3]) &&
           !is_private(octets[0], octets[1]);
  }

  bool decimal(size_t at) const { return is(at, DECIMAL); }
  bool digit(size_t at, char first, char last) const {
    return points_[at] >= static_cast<uint32_t>(first) && points_[at] <= static_cast<uint32_t>(last);
  }
  bool one_or_two(size_t at, size_t stop) const {  // [1-9]\d?
    return digit(at, '1', '9') && (stop - at == 1 || (stop - at == 2 && decimal(at + 1)));
  }

  bool is_first_octet(size_t at, size_t stop) const {
    if (stop == at) return false;
    if (stop - at != 3) return one_or_two(at, stop);
    if (digit(at, '1', '1')) return decimal(at + 1) && decimal(at + 2);
    if (!digit(at, '2', '2')) return false;
    return (digit(at + 1, '0', '1') && decimal(at + 2)) || (digit(at + 1, '2', '2') && digit(at + 2, '0', '3'));
  }

  bool is_middle_octet(size_t at, size_t stop) const {
    if (stop == at || stop - at > 3) return false;
    if (stop - at == 1) return decimal(at);
    if (stop - at == 2) return decimal(at) && decimal(at + 1);
    return (digit(at, '1', '1') && decimal(at + 1) && decimal(at + 2)) || is_two_hundreds(at, '5');
  }

  bool is_last_octet(size_t at, size_t stop) const {
    if (stop == at) return false;
    if (stop - at != 3) return one_or_two(at, stop);
    return (digit(at, '1', '1') && decimal(at + 1) && decimal(at + 2)) || is_two_hundreds(at, '4');
  }

  // 2[0-4]\d, or 25 and a digit up to `last`.
  bool is_two_hundreds(size_t at, char last) const {
    return digit(at, '2', '2') &&
           ((digit(at + 1, '0', '4') && decimal(at + 2)) || (digit(at + 1, '5', '5') && digit(at + 2, '0', last)));
  }

  bool is_private(size_t first, size_t second) const {
    const std::string_view network = between(first, second - 1), next = between(second, labels_[1]);
    if (network == "10" || network == "127") return true;
    if (network == "169") return next == "254";
    if (network == "192") return next == "168";
    if (network != "172" || labels_[1] - second != 2) return false;
    return (digit(second, '1', '1') && digit(second + 1, '6', '9')) ||
           (digit(second, '2', '2') && decimal(second + 1)) ||
           (digit(second, '3', '3') && digit(second + 1, '0', '1'));
  }

  Facts& facts_;
  Classes& classes_;
  const char* text_ = nullptr;
  bool with_exceptions_ = true;
  std::vector<uint32_t> points_, bits_;           // per character
  std::vector<uint32_t> bytes_;                   // where each character starts, and the end
  std::vector<size_t> cuts_, suffixes_, labels_;  // ends of tokens, starts of suffixes, ends of labels
};

}  // namespace mixwright::english
