// What processes say to each other: bus messages and directory calls.
#include "fuzz.h"
#include "schemas/control.h"

namespace barid::fuzz {
std::vector<std::string> seeds() {
  std::vector<std::string> all(2);
  control::ToOwner to_owner;
  to_owner.edge = Incarnation(1);
  to_owner.opens.push_back({UserId(1), DeviceId(2), ConnId(3), SessionNo(4)});
  to_owner.acks.push_back({UserId(1), DeviceId(2), ConnId(3), 5});
  to_owner.closes.push_back({UserId(1), DeviceId(2), ConnId(3)});
  to_owner.announced.push_back({Partition(1), Epoch(2)});
  control::encode(all[0], to_owner);
  control::ToEdge to_edge;
  to_edge.deliveries.push_back({Partition(1), Epoch(2), ConnId(3), "\x01\x0a frame"});
  to_edge.kicks.push_back({Partition(1), Epoch(2), ConnId(3), wire::Code::ack_timeout});
  control::encode(all[1], to_edge);
  for (const std::string& bytes : vector_bytes("frames")) {
    const auto frame = wire::decode(*wire::split(bytes));
    if (const auto* request = std::get_if<wire::Request>(&*frame))
      all.push_back(control::encode(control::DirectoryCall{UserId(1), DeviceId(2), "127.0.0.1", *request}));
    if (const auto* response = std::get_if<wire::Response>(&*frame)) all.push_back(control::encode(*response));
  }
  return all;
}
}  // namespace barid::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace barid;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::size_t sum = 0;
  control::ToEdge to_edge;
  if (control::decode_to_edge(input, to_edge) == nullptr) {
    for (const auto& d : to_edge.deliveries)
      for (const char c : d.frame) sum += static_cast<unsigned char>(c);
    for (const auto& k : to_edge.kicks) sum += wire::name_of(k.code).size();
  }
  if (const auto to_owner = control::decode_to_owner(input)) {
    fuzz::require(to_owner->opens.size() + to_owner->acks.size() <= 2 * (64 + size),
                  "lists are no longer than the bytes allow");
    std::string again;
    control::encode(again, *to_owner);
  }
  if (const auto call = control::decode_directory_call(input)) sum += control::encode(*call).size();
  if (const auto response = control::decode_response(input)) sum += control::encode(*response).size();
  volatile std::size_t used = sum;
  (void)used;
  return 0;
}
