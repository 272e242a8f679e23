// Decides whether Barid kept its promise, from what the clients saw and nothing else. Pure. Owned by whoever collects
// the records; one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/torture/record.h"

namespace barid::torture {

struct Verdict {
  std::uint64_t written = 0;           // messages
  std::uint64_t accepted = 0;          // of them, that their author was told are safe
  std::uint64_t shown = 0;             // messages at recipients
  std::uint64_t lost = 0;              // accepted, and not shown to a recipient
  std::uint64_t doubled = 0;           // shown more than once to one recipient
  std::uint64_t reordered = 0;         // shown after a later one of the same author in the same conversation
  std::uint64_t corrupted = 0;         // other bytes than were written, or another number in the same place
  std::uint64_t invented = 0;          // nobody wrote it, or it was not for this client
  std::uint64_t failed = 0;            // the author was told that it failed
  std::uint64_t early = 0;             // delivered or read in the author's eyes before it was
  std::uint64_t backwards = 0;         // a state, or a count of members, that went back
  std::uint64_t unsettled = 0;         // neither accepted nor failed
  std::uint64_t receipts_missing = 0;  // shown or read, and the author does not know

  bool broken() const;  // a promise is: time will not mend it
  bool well() const;    // nothing is broken, nothing is missing any more
  // At most kExamplesMax, in words.
  static constexpr std::size_t kExamplesMax = 20;
  std::vector<std::string> examples;
};

class Judge {
 public:
  // members by group, with '#': all of them, for the whole run.
  explicit Judge(std::map<std::string, std::vector<std::string>> groups) : groups_(std::move(groups)) {}

  void add(const std::string& client, const Record& record);  // of one client, in the order in which they were written
  Verdict verdict() const;

 private:
  struct Count {
    std::uint32_t members;
    std::int64_t observed_ms;
  };
  struct Written {
    Outgoing last;
    bool accepted = false;
    std::vector<Count> got, seen;  // each time that it grew
  };
  using Letters = std::map<std::uint64_t, Written>;             // by number
  using Shown = std::map<std::int64_t, Incoming>;               // by row
  using Takes = std::multimap<std::uint64_t, const Incoming*>;  // by number: one author's, in one conversation

  void add_one(const std::string& client, const Outgoing& out);
  void add_one(const std::string& client, const Incoming& in);
  std::vector<std::string> recipients(const std::string& author, const std::string& conversation) const;
  void judge_letter(const std::string& author, const Written& letter,
                    const std::vector<std::pair<std::string, const Takes*>>& at, Verdict& verdict) const;

  std::map<std::string, std::vector<std::string>> groups_;
  std::map<std::string, std::map<std::string, Letters>> written_;  // author, conversation
  std::map<std::string, Shown> shown_;                             // recipient
  std::uint64_t backwards_ = 0, corrupted_ = 0;
  std::vector<std::string> noted_;  // examples of these
};

}  // namespace barid::torture
