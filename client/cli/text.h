// Text as a terminal shows it: what may be shown at all, how many columns it takes, where lines break. Pure,
// any thread. Clusters are Unicode's extended grapheme clusters (UAX #29); widths follow East Asian Width
// (UAX #11).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace barid::cli {

// Without anything that could command the terminal or disguise the text: C0 and C1 controls, lone bytes that
// are not UTF-8, and explicit direction overrides go; a tab becomes spaces; newlines stay if asked for, else
// become spaces.
std::string printable(std::string_view text, bool keep_newlines = false);

std::size_t next_cluster(std::string_view text,
                         std::size_t at);                             // the byte after the cluster that starts at `at`
std::size_t previous_cluster(std::string_view text, std::size_t at);  // where the cluster before `at` starts
std::size_t width(std::string_view text);                             // columns; `text` is printable, one line
std::string cut(std::string_view text, std::size_t columns);          // at most so wide, with … where it was cut
std::vector<std::string> wrap(std::string_view text,
                              std::size_t columns);  // at spaces where possible; never empty
bool right_to_left(std::string_view text);           // has letters of a script that runs from right to left

}  // namespace barid::cli
