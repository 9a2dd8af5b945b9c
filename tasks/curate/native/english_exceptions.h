// Exceptions that the other rules had cut, put together again: `b/a.` is b, /, a. (tasks/curate/english/tokens.py).
#pragma once

#include "english_chunk.h"

namespace mixwright::english {

// Exceptions are found as sequences of tokens, also across the space between two chunks; such a find restores nothing,
// but hides finds that are shorter, or as long and later.
class Restorer {
 public:
  Restorer(Facts& facts, Splitter& splitter) {
    Pieces cut;
    for (auto& [chunk, exception] : facts.exceptions) {
      cut.clear();
      splitter.split(chunk, false, cut);
      if (cut.size() < 2) continue;
      exception.cut.assign(cut.begin(), cut.end());
      by_first_[exception.cut.front()].push_back(&exception);
      longest_ = std::max(longest_, cut.size());
    }
  }

  // The most tokens that an exception was cut into.
  size_t longest() const { return longest_; }

  // Returns whether the pieces changed. They are views into one text.
  bool restore(Pieces& pieces) {
    find(pieces);
    if (finds_.empty()) return false;
    std::sort(finds_.begin(), finds_.end(), [](const Find& a, const Find& b) {
      return a.size() != b.size() ? a.size() > b.size() : a.start < b.start;
    });
    std::vector<bool> hidden(pieces.size());
    std::vector<const Find*> restored(pieces.size());
    bool changes = false;
    for (const Find& find : finds_) {
      if (!hidden[find.start] && !hidden[find.stop - 1] && is_whole(pieces, find)) {
        restored[find.start] = &find;
        changes |= find.exception->tokens != find.exception->cut;
      }
      for (size_t i = find.start; i < find.stop; ++i) hidden[i] = true;
    }
    if (changes) replace(pieces, restored);
    return changes;
  }

 private:
  struct Find {
    size_t start, stop;
    const Exception* exception;
    size_t size() const { return stop - start; }
  };

  void find(const Pieces& pieces) {
    finds_.clear();
    for (size_t start = 0; start + 1 < pieces.size(); ++start) {
      const auto found = by_first_.find(pieces[start]);
      if (found == by_first_.end()) continue;
      for (const Exception* exception : found->second) {
        const auto& cut = exception->cut;
        if (cut.size() <= pieces.size() - start && std::equal(cut.begin(), cut.end(), pieces.begin() + start))
          finds_.push_back({start, start + cut.size(), exception});
      }
    }
  }

  static bool is_whole(const Pieces& pieces, const Find& find) {
    for (size_t i = find.start; i + 1 < find.stop; ++i)
      if (pieces[i].data() + pieces[i].size() != pieces[i + 1].data()) return false;
    return true;
  }

  void replace(Pieces& pieces, const std::vector<const Find*>& restored) {
    Pieces result;
    for (size_t at = 0; at < pieces.size();) {
      if (!restored[at]) {
        result.push_back(pieces[at++]);
        continue;
      }
      const char* from = pieces[at].data();
      for (const auto& token : restored[at]->exception->tokens) {
        result.emplace_back(from, token.size());
        from += token.size();
      }
      at = restored[at]->stop;
    }
    pieces.swap(result);
  }

  std::unordered_map<std::string_view, std::vector<const Exception*>, HashBytes> by_first_;
  std::vector<Find> finds_;
  size_t longest_ = 1;
};

}  // namespace mixwright::english
