// English tokens as spaCy's blank "en" tokenizer gives them: the port of tasks/curate/english, with a cache of chunks.
//
// For other kernels:
//   English& english = English::instance();          // needs the GIL; loads its tables from tasks.curate.english once
//   english.tokens(text, [&](const Token& token, size_t begin) {...});   // in order; no tokens of whitespace
//   int64_t n = english.count_sentences(line);       // = len(datatrove's sent_tokenize(line))
// The text is valid UTF-8 (else std::invalid_argument). The callback copies a Token that it keeps, calls neither of the
// two itself, and keeps the GIL. `begin` is the byte where the token starts in the text.
#pragma once

#include <array>
#include <cstring>

#include "english_exceptions.h"

// Asks for memory that is read soon; nothing where the compiler cannot say so.
#if defined(__GNUC__)
#define MIXWRIGHT_FETCH(place) __builtin_prefetch(place)
#else
#define MIXWRIGHT_FETCH(place) (void)(place)
#endif

namespace mixwright {

struct Token {
  uint64_t hash;  // of the bytes, a polynomial modulo 2^61 - 1: english_joined gives that of concatenations
  uint32_t bytes;
  uint32_t chars;
  uint8_t flags;
  uint8_t stop_word;  // index in {the, be, to, of, and, that, have, with}; NO_STOP_WORD if it is none

  static constexpr uint8_t WORD = 1;   // has a character outside datatrove's PUNCTUATION_SET ("non symbol word")
  static constexpr uint8_t ALPHA = 2;  // has a character c with c.isalpha()
  static constexpr uint8_t STOP = 4;   // is one character that ends a sentence (spaCy's Sentencizer)
  static constexpr uint8_t PUNCT = 8;  // all characters are of the Unicode categories P*
  static constexpr uint8_t NO_STOP_WORD = 255;
};

namespace english {

inline constexpr uint64_t kModulus = (uint64_t{1} << 61) - 1;
inline constexpr uint64_t kBase = 0x0D1B54A32D192ED3u;  // any number below the modulus that nobody chose texts against

inline uint64_t times(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  const uint64_t sum = (static_cast<uint64_t>(product) & kModulus) + static_cast<uint64_t>(product >> 61);
  return sum >= kModulus ? sum - kModulus : sum;
}

inline uint64_t plus(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum >= kModulus ? sum - kModulus : sum;
}

// The base to the power of a number of bytes.
inline uint64_t power(uint64_t bytes) {
  static const std::vector<uint64_t> small = [] {
    std::vector<uint64_t> powers{1};
    while (powers.size() < 256) powers.push_back(times(powers.back(), kBase));
    return powers;
  }();
  if (bytes < small.size()) return small[bytes];
  const uint64_t half = power(bytes / 2);
  return times(times(half, half), small[bytes % 2]);
}

}  // namespace english

// The hash of bytes a followed by bytes b. Equal strings have equal hashes, whatever they were joined from; the hash of
// nothing is 0.
inline uint64_t english_joined(uint64_t hash_a, uint64_t hash_b, uint64_t bytes_b) {
  return english::plus(english::times(hash_a, english::power(bytes_b)), hash_b);
}

inline uint64_t english_hash(std::string_view bytes) {
  uint64_t hash = 0;
  for (const char c : bytes)
    hash = english::plus(english::times(hash, english::kBase), static_cast<unsigned char>(c) + 1u);
  return hash;
}

class English {
 public:
  // One per process and kernel. The first call imports tasks.curate.english.facts; a Python error leaves as it is.
  static English& instance() {
    static auto* const english = new English();  // never destroyed: it holds Python objects, and Python ends first
    return *english;
  }

  // Calls emit(token, begin) for every token of the text but those of whitespace, in order.
  template <class Emit>
  void tokens(std::string_view text, Emit emit) {
    walk(text, emit, [] {});
  }

  // How many sentences a text has that are not all whitespace. A sentence ends behind a STOP and the punctuation that
  // follows directly; whitespace other than one space is a token, and opens the next one.
  int64_t count_sentences(std::string_view line) {
    int64_t count = 0;
    bool has_word = false, ended = false;
    const auto open = [&] { count += has_word, has_word = ended = false; };
    const auto take = [&](const Token& token, size_t) {
      if (token.flags & Token::STOP) {
        ended = true;
      } else if (ended && !(token.flags & Token::PUNCT)) {
        open();
      }
      has_word = true;
    };
    walk(line, take, [&] { if (ended) open(); });
    return count + has_word;
  }

 private:
  // A chunk's tokens. `restored`: exceptions were put together again, which the chunks beside it can prevent.
  struct Chunk {
    const Token* tokens;
    size_t size;
    bool restored;
  };

  English() : splitter_(facts_), restorer_(facts_, splitter_) {}

  // Calls emit for every token, and space where the whitespace before a chunk is other than a single space.
  template <class Emit, class Space>
  void walk(std::string_view text, Emit& emit, Space space) {
    const char* at = text.data();
    const char* const end = at + text.size();
    const char* gap = at;
    const auto skip = [&](bool spaces) {
      for (const char* next = at; at < end && bool(next_classes(next, end) & kSpace) == spaces;) at = next;
    };
    // The cache is larger than the processor's: a batch of chunks is found first, then where each lies is fetched, and
    // only then read, so that the waits for memory overlap.
    std::array<Ahead, 16> ahead;
    for (size_t size = ahead.size(); size == ahead.size();) {
      for (size = 0; size < ahead.size(); gap = at) {
        skip(true);
        if (at == end) break;
        const bool spaced = at - gap > 1 || (at > gap && *gap != ' ');
        const char* const begin = at;
        skip(false);
        const uint64_t hash = hash_bytes(between(begin, at));
        MIXWRIGHT_FETCH(&slots_[hash & (slots_.size() - 1)]);
        ahead[size++] = {between(begin, at), hash, spaced};
      }
      for (size_t k = 0; k < size; ++k)
        if (const uint32_t place = slots_[ahead[k].hash & (slots_.size() - 1)].entry) {
          const auto* head = reinterpret_cast<const char*>(entry(place));
          MIXWRIGHT_FETCH(head), MIXWRIGHT_FETCH(head + 64);
        }
      for (size_t k = 0; k < size; ++k) {
        const auto& [chunk, hash, spaced] = ahead[k];
        if (spaced) space();
        const Chunk found = look_up(chunk, hash);
        if (found.restored && has_neighbour(text, chunk)) {
          emit_in_context(text, chunk, emit);
          continue;
        }
        auto offset = static_cast<size_t>(chunk.data() - text.data());
        for (size_t i = 0; i < found.size; offset += found.tokens[i++].bytes) emit(found.tokens[i], offset);
      }
    }
  }

  struct Ahead {
    std::string_view chunk;
    uint64_t hash;
    bool spaced;
  };

  // ---- One chunk ---------------------------------------------------------------------------------------------------

  Token make_token(std::string_view piece) {
    uint32_t any = 0, all = ~0u, chars = 0, inverse = 0;
    const char* at = piece.data();
    const char* const end = at + piece.size();
    for (; at < end; ++chars) {
      const uint32_t classes = (*facts_.classes)(decode(at, end));
      any |= classes, all &= classes, inverse |= ~classes;
    }
    Token token{};
    token.hash = english_hash(piece);
    token.bytes = static_cast<uint32_t>(piece.size());
    token.chars = chars;
    token.flags = static_cast<uint8_t>((inverse & english::SYMBOL ? Token::WORD : 0) |
                                       (any & english::LETTER ? Token::ALPHA : 0) |
                                       (chars == 1 && any & english::SENTENCE_END ? Token::STOP : 0) |
                                       (all & english::PUNCTUATION ? Token::PUNCT : 0));
    token.stop_word = Token::NO_STOP_WORD;
    for (size_t i = 0; i < facts_.stop_words.size(); ++i)
      if (facts_.stop_words[i] == piece) token.stop_word = static_cast<uint8_t>(i);
    return token;
  }

  // Cuts a chunk, and fills tokens_; returns whether exceptions were restored in it.
  bool cut(std::string_view chunk) {
    pieces_.clear();
    splitter_.split(chunk, true, pieces_);
    const bool restored = restorer_.restore(pieces_);
    tokens_.clear();
    for (const std::string_view piece : pieces_) tokens_.push_back(make_token(piece));
    return restored;
  }

  // ---- The chunks beside a chunk -----------------------------------------------------------------------------------

  static bool is_space(const char* at, const char* end) { return next_classes(at, end) & kSpace; }

  // Whether one space, and no more whitespace, stands between the chunk before `begin` and it.
  static bool follows_chunk(std::string_view text, const char* begin) {
    const char* const start = text.data();
    if (begin - start < 2 || begin[-1] != ' ') return false;
    return !is_space(before(start, begin - 1), begin);
  }

  static bool precedes_chunk(std::string_view text, const char* stop) {
    const char* const end = text.data() + text.size();
    return end - stop >= 2 && *stop == ' ' && !is_space(stop + 1, end);
  }

  static bool has_neighbour(std::string_view text, std::string_view chunk) {
    return follows_chunk(text, chunk.data()) || precedes_chunk(text, chunk.data() + chunk.size());
  }

  // Cuts the chunk together with those beside it, as far as the longest exception reaches, and emits its tokens.
  template <class Emit>
  void emit_in_context(std::string_view text, std::string_view chunk, Emit& emit) {
    const char* const stop = chunk.data() + chunk.size();
    const char *const start = text.data(), *const end = start + text.size();
    const char *first = chunk.data(), *last = stop;
    const size_t reach = restorer_.longest() - 1;
    for (size_t chunks = 0; chunks < reach && follows_chunk(text, first); ++chunks)
      for (--first; first > start && !is_space(before(start, first), first);) first = before(start, first);
    for (size_t chunks = 0; chunks < reach && precedes_chunk(text, last); ++chunks)
      for (++last; last < end && !is_space(last, end);) decode(last, end);
    pieces_.clear();
    for_each_word(between(first, last), [&](std::string_view word) { splitter_.split(word, true, pieces_); });
    restorer_.restore(pieces_);
    for (const std::string_view piece : pieces_)
      if (piece.data() >= chunk.data() && piece.data() < stop)
        emit(make_token(piece), static_cast<size_t>(piece.data() - start));
  }

  // ---- The cache: bounded, dropped whole when it is full; results do not depend on it ------------------------------

  static constexpr size_t kLongestKey = 64;                           // bytes; longer chunks hardly come twice
  static constexpr size_t kBlock = size_t{1} << 17, kBlocks = 80;     // 8-byte words in a block (1 MiB), most blocks
  static constexpr size_t kFirstSlots = size_t{1} << 12;

  // In a block: a Head, its tokens, the bytes of the chunk.
  struct Head {
    uint32_t bytes;
    uint16_t tokens;
    uint16_t restored;
  };

  Chunk look_up(std::string_view chunk, uint64_t hash) {
    if (chunk.size() > kLongestKey) {
      const bool restored = cut(chunk);
      return {tokens_.data(), tokens_.size(), restored};
    }
    const auto tag = static_cast<uint32_t>(hash >> 32);
    for (size_t at = hash & (slots_.size() - 1); slots_[at].entry; at = (at + 1) & (slots_.size() - 1))
      if (slots_[at].tag == tag)
        if (const Head* head = entry(slots_[at].entry); is_key(head, chunk)) return chunk_of(head);
    const bool restored = cut(chunk);
    return chunk_of(remember(chunk, hash, restored));
  }

  const Head* entry(uint32_t place) const {
    return reinterpret_cast<const Head*>(blocks_[place / kBlock].get() + place % kBlock);
  }
  static const Token* tokens_of(const Head* head) { return reinterpret_cast<const Token*>(head + 1); }
  static bool is_key(const Head* head, std::string_view chunk) {
    return head->bytes == chunk.size() && std::memcmp(tokens_of(head) + head->tokens, chunk.data(), chunk.size()) == 0;
  }
  static Chunk chunk_of(const Head* head) { return {tokens_of(head), head->tokens, head->restored != 0}; }

  const Head* remember(std::string_view chunk, uint64_t hash, bool restored) {
    static_assert(sizeof(Head) == 8 && sizeof(Token) % 8 == 0);
    const size_t words = 1 + tokens_.size() * sizeof(Token) / 8 + (chunk.size() + 7) / 8;
    if (blocks_.empty() || used_ + words > kBlock) {
      if (blocks_.size() == kBlocks) forget();
      blocks_.push_back(std::make_unique<uint64_t[]>(kBlock));
      used_ = blocks_.size() == 1;  // place 0 means an empty slot
    }
    if (2 * ++size_ > slots_.size()) grow();
    const auto place = static_cast<uint32_t>((blocks_.size() - 1) * kBlock + used_);
    auto* head = reinterpret_cast<Head*>(blocks_.back().get() + used_);
    *head = {static_cast<uint32_t>(chunk.size()), static_cast<uint16_t>(tokens_.size()), restored};
    std::memcpy(head + 1, tokens_.data(), tokens_.size() * sizeof(Token));
    std::memcpy(reinterpret_cast<Token*>(head + 1) + tokens_.size(), chunk.data(), chunk.size());
    used_ += words;
    put({static_cast<uint32_t>(hash >> 32), place}, hash);
    return head;
  }

  void forget() {
    blocks_.clear();
    slots_.assign(kFirstSlots, Slot{});
    size_ = 0;
  }

  struct Slot {
    uint32_t tag = 0, entry = 0;
  };

  void put(Slot slot, uint64_t hash) {
    size_t at = hash & (slots_.size() - 1);
    while (slots_[at].entry) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = slot;
  }

  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (!slot.entry) continue;
      const Head* head = entry(slot.entry);
      put(slot, hash_bytes({reinterpret_cast<const char*>(tokens_of(head) + head->tokens), head->bytes}));
    }
  }

  english::Facts facts_;
  english::Splitter splitter_;
  english::Restorer restorer_;
  english::Pieces pieces_;
  std::vector<Token> tokens_;
  std::vector<std::unique_ptr<uint64_t[]>> blocks_;
  std::vector<Slot> slots_ = std::vector<Slot>(kFirstSlots);
  size_t used_ = 0, size_ = 0;
};

}  // namespace mixwright
