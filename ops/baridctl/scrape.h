// What /metrics of a process says, and what two looks at it say together. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace barid::ctl {

class Scrape {
 public:
  static Scrape parse(std::string_view text);  // Prometheus's text format; lines that it can't read are left out
  void add(const Scrape& other);               // another process's, summed up series by series
  bool empty() const { return values_.empty(); }
  // The sum over the series of this name whose labels hold every one of `labels`, each as name="value".
  double sum(std::string_view name, const std::vector<std::string>& labels = {}) const;
  // Of a histogram's growth since `before`: the upper bound of the bucket in which the quantile lies, interpolated.
  // Negative: nothing was measured in between.
  double quantile(const Scrape& before, const std::string& name, const std::string& label, double q) const;

 private:
  std::map<std::string, std::map<std::string, double>, std::less<>> values_;  // name → labels → value
};

}  // namespace barid::ctl
