// Two public hash functions, written from their specification (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), seed 0:
// XXH64 of any bytes, and XXH3 (64 bits) of up to 128 bytes. For little-endian machines.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace mixwright {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87u, kPrime2 = 0xC2B2AE3D27D4EB4Fu, kPrime3 = 0x165667B19E3779F9u,
                   kPrime4 = 0x85EBCA77C2B2AE63u, kPrime5 = 0x27D4EB2F165667C5u;

// The first 128 bytes of XXH3's secret.
constexpr unsigned char kSecret[128] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d,
    0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0,
    0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0,
    0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b,
    0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0,
    0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64};

template <class Word>
inline uint64_t xxh_read(const void* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

inline uint64_t xxh_rotated(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

inline uint64_t xxh_round(uint64_t state, uint64_t lane) {
  return xxh_rotated(state + lane * kPrime2, 31) * kPrime1;
}

inline uint64_t xxh_merged(uint64_t hash, uint64_t state) { return (hash ^ xxh_round(0, state)) * kPrime1 + kPrime4; }

inline uint64_t xxh64_avalanche(uint64_t hash) {
  hash = (hash ^ hash >> 33) * kPrime2;
  hash = (hash ^ hash >> 29) * kPrime3;
  return hash ^ hash >> 32;
}

inline uint64_t xxh64(std::string_view bytes) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t hash = kPrime5;
  if (left >= 32) {
    uint64_t one = kPrime1 + kPrime2, two = kPrime2, three = 0, four = uint64_t{0} - kPrime1;
    for (; left >= 32; at += 32, left -= 32) {
      one = xxh_round(one, xxh_read<uint64_t>(at));
      two = xxh_round(two, xxh_read<uint64_t>(at + 8));
      three = xxh_round(three, xxh_read<uint64_t>(at + 16));
      four = xxh_round(four, xxh_read<uint64_t>(at + 24));
    }
    hash = xxh_rotated(one, 1) + xxh_rotated(two, 7) + xxh_rotated(three, 12) + xxh_rotated(four, 18);
    hash = xxh_merged(xxh_merged(xxh_merged(xxh_merged(hash, one), two), three), four);
  }
  hash += bytes.size();
  for (; left >= 8; at += 8, left -= 8)
    hash = xxh_rotated(hash ^ xxh_round(0, xxh_read<uint64_t>(at)), 27) * kPrime1 + kPrime4;
  if (left >= 4) {
    hash = xxh_rotated(hash ^ xxh_read<uint32_t>(at) * kPrime1, 23) * kPrime2 + kPrime3;
    at += 4, left -= 4;
  }
  for (; left > 0; ++at, --left) hash = xxh_rotated(hash ^ xxh_read<unsigned char>(at) * kPrime5, 11) * kPrime1;
  return xxh64_avalanche(hash);
}

constexpr size_t kXxh3Most = 128;

inline uint64_t xxh3_folded(uint64_t one, uint64_t other) {
  const auto product = static_cast<unsigned __int128>(one) * other;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t xxh3_mixed(const char* at, int secret) {
  return xxh3_folded(xxh_read<uint64_t>(at) ^ xxh_read<uint64_t>(kSecret + secret),
                     xxh_read<uint64_t>(at + 8) ^ xxh_read<uint64_t>(kSecret + secret + 8));
}

// XXH3_64bits of at most kXxh3Most bytes.
inline uint64_t xxh3_short(std::string_view bytes) {
  const char* at = bytes.data();
  const size_t size = bytes.size();
  const auto secret = [](int one, int other) {
    return xxh_read<uint64_t>(kSecret + one) ^ xxh_read<uint64_t>(kSecret + other);
  };
  if (size == 0) return xxh64_avalanche(secret(56, 64));
  if (size < 4) {
    const auto byte = [&](size_t i) { return xxh_read<unsigned char>(at + i); };
    const uint64_t all = byte(0) << 16 | byte(size / 2) << 24 | byte(size - 1) | size << 8;
    return xxh64_avalanche(all ^ (xxh_read<uint32_t>(kSecret) ^ xxh_read<uint32_t>(kSecret + 4)));
  }
  if (size <= 8) {
    uint64_t hash = (xxh_read<uint32_t>(at + size - 4) + (xxh_read<uint32_t>(at) << 32)) ^ secret(8, 16);
    hash = (hash ^ xxh_rotated(hash, 49) ^ xxh_rotated(hash, 24)) * 0x9FB21C651E98DF25u;
    hash = (hash ^ ((hash >> 35) + size)) * 0x9FB21C651E98DF25u;
    return hash ^ hash >> 28;
  }
  uint64_t sum;
  if (size <= 16) {
    const uint64_t low = xxh_read<uint64_t>(at) ^ secret(24, 32);
    const uint64_t high = xxh_read<uint64_t>(at + size - 8) ^ secret(40, 48);
    sum = size + __builtin_bswap64(low) + high + xxh3_folded(low, high);
  } else {
    // Pairs of 16 bytes from both ends inwards, as many as the size holds.
    const auto pairs = static_cast<int>((size - 1) / 32);
    sum = size * kPrime1;
    for (int i = pairs; i >= 0; --i)
      sum += xxh3_mixed(at + 16 * i, 32 * i) + xxh3_mixed(at + size - 16 * (i + 1), 32 * i + 16);
  }
  sum = (sum ^ sum >> 37) * 0x165667919E3779F9u;
  return sum ^ sum >> 32;
}

}  // namespace mixwright
