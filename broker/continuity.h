// Whether the broker's streams still hold what they acknowledged (docs/adr/0013). A mark is how far a stream had come;
// a stream that ends before its mark, or was made anew, has lost messages.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"

namespace barid::broker {

class Control;

struct StreamMark {
  std::string stream;
  std::string created;  // as the broker tells it; empty: not known
  StreamSeq last;       // the highest place known to have been taken
};

// The marks of one process. Any thread; noting takes no lock.
class HighWater {
 public:
  static constexpr std::size_t kStreamsMax = 4'096;
  enum class Verdict {
    continues,
    behind,  // messages that were acknowledged are not there, or it is another stream of that name
    gone,    // there is no such stream
    unknown  // the broker did not say: ask again
  };

  explicit HighWater(std::vector<std::string> streams);
  std::size_t size() const { return marks_.size(); }
  const std::string& stream(std::size_t i) const { return marks_[i].stream; }

  void note(std::size_t stream, StreamSeq acknowledged);
  StreamSeq last(std::size_t stream) const { return StreamSeq(marks_.at(stream).last.load(std::memory_order_relaxed)); }
  bool knows(std::size_t stream) const;
  // Compares what the broker says with `before`, the mark when it was asked, and notes it if the stream continues.
  // info: the answer to STREAM.INFO.
  Verdict judge(std::size_t stream, StreamSeq before, std::string_view info);
  Verdict judge(std::size_t stream, StreamSeq before, const std::string& created, StreamSeq last);

  std::vector<StreamMark> marks() const;         // of streams about which something is known
  void remember(const StreamMark& mark);         // from a time before this process; a stream not ours is ignored
  void forget();                                 // the streams are new ones
  static std::vector<std::string> of_senders();  // INGRESS_0, FANOUT: what edges publish to
  static std::vector<std::string> of_workers(std::uint16_t inbox_shards);
  static constexpr std::size_t kIngress = 0, kFanout = 1, kFirstInbox = 2;  // in these lists

 private:
  struct Mark {
    std::string stream;
    std::atomic<std::uint64_t> last{0};
    std::string created;  // guarded by mutex_
  };
  std::vector<Mark> marks_;
  mutable std::mutex mutex_;
};

// Gives the streams another incarnation, unless somebody did: then that one. `known` is the caller's. Throws
// broker::Error when the broker can't be asked.
std::uint64_t renew_incarnation(Control& control, std::uint64_t known);

}  // namespace barid::broker
