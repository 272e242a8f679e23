#include "tests/torture/letter.h"

#include <random>
#include <sstream>

namespace barid::torture {
namespace {

std::string filling_of(const Letter& letter) {
  std::seed_seq seed{std::hash<std::string>{}(letter.author + letter.conversation),
                     static_cast<std::size_t>(letter.number)};
  std::mt19937 random(seed);
  const auto dice = random() % 100;  // most are short, a few long
  const std::size_t size = random() % (dice < 80 ? 200 : dice < 97 ? 2'000 : kFillingMax);
  std::string filling(size, ' ');
  for (char& c : filling) c = static_cast<char>('a' + random() % 26);
  return filling;
}

}  // namespace

std::string text_of(const Letter& letter) {
  return "torture " + letter.author + ' ' + letter.conversation + ' ' + std::to_string(letter.number) + ' ' +
         filling_of(letter);
}

std::optional<Letter> letter_of(std::string_view text) {
  std::istringstream words{std::string(text)};
  Letter letter;
  std::string mark;
  words >> mark >> letter.author >> letter.conversation >> letter.number;
  if (!words || mark != "torture") return std::nullopt;
  letter.intact = text == text_of(letter);
  return letter;
}

}  // namespace barid::torture
