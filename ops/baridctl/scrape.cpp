#include "ops/baridctl/scrape.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace barid::ctl {

Scrape Scrape::parse(std::string_view text) {
  Scrape scrape;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.empty() || line.front() == '#') continue;
    const auto space = line.rfind(' ');
    if (space == std::string_view::npos) continue;
    const std::string value(line.substr(space + 1));
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    if (end == value.c_str()) continue;
    const std::string_view series = line.substr(0, space);
    const auto brace = series.find('{');
    const std::string labels(brace == std::string_view::npos ? "" : series.substr(brace));
    scrape.values_[std::string(series.substr(0, brace))][labels] = number;
  }
  return scrape;
}

void Scrape::add(const Scrape& other) {
  for (const auto& [name, series] : other.values_)
    for (const auto& [labels, value] : series) values_[name][labels] += value;
}

double Scrape::sum(std::string_view name, const std::vector<std::string>& labels) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return 0;
  double sum = 0;
  for (const auto& [have, value] : found->second)
    if (std::all_of(labels.begin(), labels.end(),
                    [&have = have](const auto& label) { return have.find(label) != std::string::npos; }))
      sum += value;
  return sum;
}

double Scrape::quantile(const Scrape& before, const std::string& name, const std::string& label, double q) const {
  const auto found = values_.find(name + "_bucket");
  if (found == values_.end()) return -1;
  std::map<double, double> below;  // bound → how many took no longer
  for (const auto& [labels, value] : found->second) {
    const auto le = labels.find("le=\"");
    if (le == std::string::npos || labels.find(label) == std::string::npos) continue;
    const std::string bound = labels.substr(le + 4, labels.find('"', le + 4) - le - 4);
    below[bound == "+Inf" ? std::numeric_limits<double>::infinity() : std::strtod(bound.c_str(), nullptr)] +=
        value - before.sum(found->first, {label, "le=\"" + bound + "\""});
  }
  if (below.empty() || below.rbegin()->second <= 0) return -1;
  const double wanted = q * below.rbegin()->second;
  double bound_before = 0, count_before = 0;
  for (const auto& [bound, count] : below) {
    if (count >= wanted && count > count_before) {
      if (bound == std::numeric_limits<double>::infinity()) return bound_before;
      return bound_before + (bound - bound_before) * (wanted - count_before) / (count - count_before);
    }
    bound_before = bound, count_before = count;
  }
  return bound_before;
}

}  // namespace barid::ctl
