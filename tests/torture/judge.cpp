#include "tests/torture/judge.h"

#include <algorithm>

namespace barid::torture {
namespace {

using client::State;

void note(std::vector<std::string>& examples, const std::string& what) {
  if (examples.size() < Verdict::kExamplesMax) examples.push_back(what);
}

std::string words(const std::string& author, const std::string& conversation, std::uint64_t number) {
  return author + " -> " + conversation + " " + std::to_string(number);
}

bool is_accepted(State state) { return state == State::accepted || state >= State::delivered; }

// One to one counts as a group of one.
std::uint32_t got(const Outgoing& out) {
  return out.conversation.starts_with("#") ? out.got : out.state >= State::delivered ? 1 : 0;
}
std::uint32_t seen(const Outgoing& out) {
  return out.conversation.starts_with("#") ? out.seen : out.state == State::read ? 1 : 0;
}

// Times at which something happened at recipients, against what the author was told: its nth member can't be earlier
// than the nth of them.
template <class Counts>
std::uint64_t too_early(const Counts& told, std::vector<std::int64_t> happened) {
  std::sort(happened.begin(), happened.end());
  std::uint64_t early = 0;
  for (const auto& count : told)
    if (count.members > happened.size() || happened[count.members - 1] > count.observed_ms) ++early;
  return early;
}

}  // namespace

bool Verdict::broken() const { return doubled + reordered + corrupted + invented + failed + early + backwards != 0; }
bool Verdict::well() const { return !broken() && lost + unsettled + receipts_missing == 0; }

void Judge::add(const std::string& client, const Record& record) {
  std::visit([&](const auto& one) { add_one(client, one); }, record);
}

void Judge::add_one(const std::string& client, const Outgoing& out) {
  auto [found, fresh] = written_[client][out.conversation].try_emplace(out.number);
  Written& letter = found->second;
  const auto name = [&] { return words(client, out.conversation, out.number); };
  if (!fresh && letter.last.row != out.row) {
    ++corrupted_;
    note(noted_, "written twice: " + name());
  }
  const std::uint32_t got_before = fresh ? 0 : got(letter.last), seen_before = fresh ? 0 : seen(letter.last);
  if (!fresh && (out.state < letter.last.state || got(out) < got_before || seen(out) < seen_before)) {
    ++backwards_;
    note(noted_, "went back: " + name() + " from " + std::string(name_of(letter.last.state)) + " to " +
                     std::string(name_of(out.state)));
  }
  if (got(out) > got_before) letter.got.push_back({got(out), out.observed_ms});
  if (seen(out) > seen_before) letter.seen.push_back({seen(out), out.observed_ms});
  letter.accepted = letter.accepted || is_accepted(out.state);
  letter.last = out;
}

void Judge::add_one(const std::string& client, const Incoming& in) {
  auto [found, fresh] = shown_[client].try_emplace(in.row, in);
  Incoming& known = found->second;
  if (!fresh && (known.author != in.author || known.conversation != in.conversation || known.number != in.number)) {
    ++corrupted_;
    note(noted_, "became another: " + words(in.author, in.conversation, in.number) + " at " + client);
  }
  known = in;
}

std::vector<std::string> Judge::recipients(const std::string& author, const std::string& conversation) const {
  if (conversation.starts_with("@")) return {conversation.substr(1)};
  const auto group = groups_.find(conversation);
  if (group == groups_.end()) return {};
  std::vector<std::string> others;
  std::copy_if(group->second.begin(), group->second.end(), std::back_inserter(others),
               [&](const std::string& member) { return member != author; });
  return others;
}

void Judge::judge_letter(const std::string& author, const Written& letter,
                         const std::vector<std::pair<std::string, const Takes*>>& at, Verdict& v) const {
  const Outgoing& out = letter.last;
  const std::string name = words(author, out.conversation, out.number);
  ++v.written;
  if (letter.accepted) ++v.accepted;
  if (out.state == State::failed) ++v.failed, note(v.examples, "failed: " + name);
  if (!letter.accepted && out.state < State::accepted) ++v.unsettled;
  std::vector<std::int64_t> taken, read;
  for (const auto& [recipient, takes] : at) {
    const auto [first, last] =
        takes ? takes->equal_range(out.number) : std::pair<Takes::const_iterator, Takes::const_iterator>();
    if (!takes || first == last) {
      if (letter.accepted) ++v.lost, note(v.examples, "lost: " + name + " at " + recipient);
      continue;
    }
    taken.push_back(first->second->taken_ms);
    if (first->second->read_ms != 0) read.push_back(first->second->read_ms);
  }
  if (const auto early = too_early(letter.got, taken) + too_early(letter.seen, read); early != 0)
    v.early += early, note(v.examples, "told too early: " + name);
  if (got(out) < taken.size() || seen(out) < read.size()) {
    ++v.receipts_missing;
    note(v.examples, "receipt missing: " + name + " is " + std::string(name_of(out.state)) + ", at " +
                         std::to_string(got(out)) + " of " + std::to_string(taken.size()) + ", read by " +
                         std::to_string(seen(out)) + " of " + std::to_string(read.size()));
  }
}

Verdict Judge::verdict() const {
  Verdict v;
  v.backwards = backwards_, v.corrupted = corrupted_, v.examples = noted_;
  std::map<std::string, std::map<std::pair<std::string, std::string>, Takes>>
      takes;  // recipient, author + conversation
  for (const auto& [recipient, rows] : shown_) {
    auto& here = takes[recipient];
    for (const auto& [row, in] : rows) {
      ++v.shown;
      const std::string name = words(in.author, in.conversation, in.number) + " at " + recipient;
      Takes& known = here[{in.author, in.conversation}];
      if (!in.intact) ++v.corrupted, note(v.examples, "corrupted: " + name);
      if (known.contains(in.number))
        ++v.doubled, note(v.examples, "doubled: " + name);
      else if (!known.empty() && known.rbegin()->first > in.number)
        ++v.reordered, note(v.examples, "reordered: " + name + ", after " + std::to_string(known.rbegin()->first));
      known.emplace(in.number, &in);
      const auto author = written_.find(in.author);
      const auto to = recipients(in.author, in.conversation);
      if (author == written_.end() || !author->second.contains(in.conversation) ||
          !author->second.at(in.conversation).contains(in.number) ||
          std::find(to.begin(), to.end(), recipient) == to.end())
        ++v.invented, note(v.examples, "invented: " + name);
    }
  }
  for (const auto& [author, conversations] : written_)
    for (const auto& [conversation, letters] : conversations) {
      std::vector<std::pair<std::string, const Takes*>> at;
      for (const std::string& recipient : recipients(author, conversation)) {
        const auto& all = takes[recipient];
        const auto found = all.find({author, conversation});
        at.emplace_back(recipient, found == all.end() ? nullptr : &found->second);
      }
      for (const auto& [number, letter] : letters) judge_letter(author, letter, at, v);
    }
  return v;
}

}  // namespace barid::torture
