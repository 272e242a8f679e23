// Runs one target without libFuzzer: DRIVER [--runs N] [--seed S] [--write DIR] [FILE…]. Seeds and files
// first, then N mutations, the same ones for the same seed. --write saves the seeds as a corpus for libFuzzer
// and runs nothing.
#include <charconv>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>

#include "fuzz.h"

namespace barid::fuzz {
namespace {

constexpr std::size_t kInputBytesMax = 256 * 1024;
constexpr std::size_t kPoolMax = 4'096;

class Mutator {
 public:
  Mutator(std::uint64_t seed, std::vector<std::string> pool) : random_(seed), pool_(std::move(pool)) {}

  std::string next() {
    std::string input = pool_[below(pool_.size())];
    for (std::size_t steps = 1 + below(6); steps > 0; --steps) mutate(input);
    if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
    if (below(50) == 0 && pool_.size() < kPoolMax) pool_.push_back(input);
    return input;
  }

 private:
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }
  char byte() { return static_cast<char>(random_()); }

  void mutate(std::string& s) {
    const std::size_t at = below(s.size() + 1);
    switch (below(9)) {
      case 0:
        s.insert(at, 1, byte());
        break;
      case 1:
        s.insert(at, below(300), below(2) == 0 ? '\0' : byte());
        break;
      case 2:
        s.erase(at, 1 + below(9));
        break;
      case 3:
        s.resize(at);
        break;
      case 4:
        if (at < s.size()) s[at] = byte();
        break;
      case 5:
        if (at < s.size()) s[at] = static_cast<char>(s[at] ^ (1 << below(8)));
        break;
      case 6:
        splice(s, at);
        break;
      case 7:
        interesting_word(s, at / 8 * 8);
        break;
      default:
        s.insert(at, s.substr(below(s.size() + 1), below(64)));
        break;
    }
  }
  void splice(std::string& s, std::size_t at) {
    const std::string& other = pool_[below(pool_.size())];
    s = s.substr(0, at) + other.substr(std::min(at, other.size()));
  }
  // Words that mean something to Cap'n Proto: pointers of each kind, sizes at their ends.
  void interesting_word(std::string& s, std::size_t at) {
    static constexpr std::uint64_t kWords[] = {0,
                                               ~0ULL,
                                               1,
                                               2,
                                               0x0001'0001'0000'0000,
                                               0xffff'ffff'0000'0000,
                                               0xffff'ffff'ffff'fffc,
                                               0x0000'0007'0000'0001,
                                               0xffff'ffff'0000'0001,
                                               0x0000'0001'0000'0000,
                                               0x1fff'ffff'0000'0002,
                                               0x7fff'fffc'0000'0005};
    std::uint64_t word = kWords[below(std::size(kWords))];
    if (below(2) == 0) word ^= 1ULL << below(64);
    if (s.size() < at + 8) s.resize(at + 8);
    for (std::size_t i = 0; i < 8; ++i) s[at + i] = static_cast<char>(word >> (8 * i));
  }

  std::mt19937_64 random_;
  std::vector<std::string> pool_;
};

void feed(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::uint64_t number(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) throw std::runtime_error("not a number: " + text);
  return value;
}

int run(const std::vector<std::string>& arguments) {
  std::uint64_t runs = 20'000, seed = 1;
  std::vector<std::string> pool = seeds();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const bool has_value = i + 1 < arguments.size();
    if (arguments[i] == "--runs" && has_value) {
      runs = number(arguments[++i]);
    } else if (arguments[i] == "--seed" && has_value) {
      seed = number(arguments[++i]);
    } else if (arguments[i] == "--write" && has_value) {
      for (std::size_t n = 0; n < pool.size(); ++n)
        if (!(std::ofstream(arguments[i + 1] + "/seed-" + std::to_string(n), std::ios::binary) << pool[n]))
          throw std::runtime_error("cannot write to " + arguments[i + 1]);
      return 0;
    } else {
      std::ifstream file(arguments[i], std::ios::binary);
      if (!file) throw std::runtime_error("cannot read " + arguments[i]);
      pool.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  if (pool.empty()) throw std::runtime_error("no seeds");
  for (const std::string& input : pool) feed(input);
  Mutator mutator(seed, pool);
  for (std::uint64_t i = 0; i < runs; ++i) {
    const std::string input = mutator.next();
    if (std::getenv("BARID_FUZZ_SAVE") != nullptr)
      std::ofstream(std::getenv("BARID_FUZZ_SAVE"), std::ios::binary) << input;
    feed(input);
  }
  std::cout << pool.size() << " seeds and " << runs << " mutations (seed " << seed << ")\n";
  return 0;
}

}  // namespace
}  // namespace barid::fuzz

int main(int argc, char** argv) {
  try {
    return barid::fuzz::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
