// Batches as the broker gives them back.
#include "base/limits.h"
#include "fuzz.h"
#include "schemas/envelope.h"

namespace barid::fuzz {
std::vector<std::string> seeds() {
  auto all = vector_bytes("batch");
  std::string bytes;
  envelope::encode_batch(bytes, 1, 2, {});
  all.push_back(bytes);
  const std::vector<envelope::Recipient> recipients(40, {UserId(1), DeviceId(2)});
  envelope::Envelope many;
  many.frame = std::string_view("\1\7\0\0", 4);
  many.recipients = recipients;
  envelope::encode_batch(bytes, 1, 2, {many, many});
  all.push_back(bytes);
  return all;
}
}  // namespace barid::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace barid;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::size_t sum = 0;  // every byte that a view shows is read: a sanitizer's chance
  if (const auto batch = envelope::Batch::decode(input)) {
    for (const auto& e : batch->envelopes())
      for (const char c : e.frame) sum += static_cast<unsigned char>(c);
    std::size_t bytes = 0;
    for (const auto& e : batch->envelopes()) bytes += e.frame.size();
    if (bytes < 4'000'000) {
      std::string again;
      envelope::encode_batch(again, batch->origin(), batch->number(), batch->envelopes());
      // Frames that share bytes grow when written out, and letters become envelopes: perhaps beyond what a reader
      // takes.
      const auto second = envelope::Batch::decode(again);
      const bool too_many = batch->envelopes().size() > limits::kBatchEnvelopesMax;
      fuzz::require(second.has_value() || again.size() > size || too_many,
                    "a batch that was decoded and encoded is decoded again");
      if (second) fuzz::require(second->envelopes().size() == batch->envelopes().size(), "with all its envelopes");
    }
  }
  volatile std::size_t used = sum;
  (void)used;
  return 0;
}
