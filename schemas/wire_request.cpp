#include "schemas/wire_request.h"

#include "schemas/codec.h"

namespace barid::wire {
namespace {

using codec::as_data;
using codec::text;
using codec::view;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

void fill_address(schema::Address::Builder b, const Address& a) {
  b.setUser(a.user.value);
  b.setDevice(a.device.value);
  b.setTag(a.tag);
}

std::string read_bytes(capnp::Data::Reader reader, std::size_t most) {
  if (reader.size() > most) refuse(Code::malformed);
  return std::string(view(reader));
}

}  // namespace

Request read_request(schema::Request::Reader r) {
  Request request;
  request.id = r.getId();
  switch (r.which()) {
    case schema::Request::REQUEST_CODE:
      request.body = RequestCode{read_short_text(r.getRequestCode().getPhone())};
      return request;
    case schema::Request::VERIFY_CODE: {
      auto v = r.getVerifyCode();
      request.body = VerifyCode{read_short_text(v.getPhone()), read_short_text(v.getCode()),
                                read_bytes(v.getDeviceKey(), 32), read_short_text(v.getDeviceName())};
      return request;
    }
    case schema::Request::LOOKUP: {
      Lookup lookup;
      auto phones = r.getLookup().getPhones();
      if (phones.size() > limits::kLookupPhonesMax) refuse(Code::malformed);
      for (auto phone : phones) lookup.phones.push_back(read_short_text(phone));
      request.body = std::move(lookup);
      return request;
    }
    case schema::Request::BLOCK:
      request.body = Block{UserId(r.getBlock().getUser())};
      return request;
    case schema::Request::UNBLOCK:
      request.body = Unblock{UserId(r.getUnblock().getUser())};
      return request;
    case schema::Request::LIST_BLOCKED:
      request.body = ListBlocked{};
      return request;
    case schema::Request::LIST_DEVICES:
      request.body = ListDevices{};
      return request;
    case schema::Request::REVOKE_DEVICE:
      request.body = RevokeDevice{DeviceId(r.getRevokeDevice().getDevice())};
      return request;
    case schema::Request::DEVICES_OF:
      request.body = DevicesOf{UserId(r.getDevicesOf().getUser())};
      return request;
    case schema::Request::SET_PRIVACY:
      request.body = read_set_privacy(r.getSetPrivacy());
      return request;
    case schema::Request::GET_PRIVACY:
      request.body = GetPrivacy{};
      return request;
    case schema::Request::EDIT_CONTACTS:
      request.body = read_edit_contacts(r.getEditContacts());
      return request;
    default:
      request.body = read_group_request(r);
      return request;
  }
}

Response read_response(schema::Response::Reader r) {
  Response response;
  response.id = r.getId();
  switch (r.which()) {
    case schema::Response::ERROR: {
      auto e = r.getError();
      response.body = Error{read_wire_code(e.getCode()), e.getRetryAfterMs(), read_short_text(e.getText())};
      return response;
    }
    case schema::Response::CODE_SENT:
      response.body = CodeSent{r.getCodeSent().getExpiresInS(), r.getCodeSent().getResendInS()};
      return response;
    case schema::Response::REGISTERED: {
      auto g = r.getRegistered();
      response.body = Registered{UserId(g.getUser()), DeviceId(g.getDevice()), read_bytes(g.getToken(), 1024),
                                 read_short_text(g.getPhone())};
      return response;
    }
    case schema::Response::CONTACTS: {
      Contacts contacts;
      auto found = r.getContacts();
      if (found.size() > limits::kLookupPhonesMax) refuse(Code::malformed);
      for (auto c : found) {
        Contact contact{read_short_text(c.getPhone()), UserId(c.getUser()), {}};
        auto addresses = c.getDevices();
        if (addresses.size() > limits::kDevicesMax) refuse(Code::malformed);
        for (auto a : addresses) contact.devices.push_back({UserId(a.getUser()), DeviceId(a.getDevice()), a.getTag()});
        contacts.found.push_back(std::move(contact));
      }
      response.body = std::move(contacts);
      return response;
    }
    case schema::Response::DONE:
      response.body = Done{};
      return response;
    case schema::Response::USERS: {
      Users users;
      for (auto u : r.getUsers()) users.users.emplace_back(u);
      response.body = std::move(users);
      return response;
    }
    case schema::Response::DEVICES: {
      Devices devices;
      auto list = r.getDevices();
      if (list.size() > limits::kDevicesMax) refuse(Code::malformed);
      for (auto d : list)
        devices.devices.push_back(
            {DeviceId(d.getDevice()), read_short_text(d.getName()), d.getCreatedAtMs(), d.getCurrent()});
      response.body = std::move(devices);
      return response;
    }
    case schema::Response::PRIVACY:
      response.body = read_privacy(r.getPrivacy());
      return response;
    default:
      response.body = read_group_response(r);
      return response;
  }
}

void fill_request(schema::Request::Builder b, const Request& request) {
  b.setId(request.id);
  std::visit(Overloaded{
                 [&](const RequestCode& r) { b.initRequestCode().setPhone(text(r.phone)); },
                 [&](const VerifyCode& r) {
                   auto v = b.initVerifyCode();
                   v.setPhone(text(r.phone));
                   v.setCode(text(r.code));
                   v.setDeviceKey(as_data(r.device_key));
                   v.setDeviceName(text(r.device_name));
                 },
                 [&](const Lookup& r) {
                   auto phones = b.initLookup().initPhones(static_cast<unsigned>(r.phones.size()));
                   for (unsigned i = 0; i < r.phones.size(); ++i) phones.set(i, text(r.phones[i]));
                 },
                 [&](const Block& r) { b.initBlock().setUser(r.user.value); },
                 [&](const Unblock& r) { b.initUnblock().setUser(r.user.value); },
                 [&](const ListBlocked&) { b.setListBlocked(); },
                 [&](const ListDevices&) { b.setListDevices(); },
                 [&](const RevokeDevice& r) { b.initRevokeDevice().setDevice(r.device.value); },
                 [&](const DevicesOf& r) { b.initDevicesOf().setUser(r.user.value); },
                 [&](const auto& r) { fill(b, r); },
             },
             request.body);
}

void fill_response(schema::Response::Builder b, const Response& response) {
  b.setId(response.id);
  std::visit(Overloaded{
                 [&](const Error& r) {
                   auto e = b.initError();
                   e.setCode(static_cast<schema::Code>(r.code));
                   e.setRetryAfterMs(r.retry_after_ms);
                   e.setText(text(r.text));
                 },
                 [&](const CodeSent& r) {
                   auto c = b.initCodeSent();
                   c.setExpiresInS(r.expires_in_s);
                   c.setResendInS(r.resend_in_s);
                 },
                 [&](const Registered& r) {
                   auto g = b.initRegistered();
                   g.setUser(r.user.value);
                   g.setDevice(r.device.value);
                   g.setToken(as_data(r.token));
                   g.setPhone(text(r.phone));
                 },
                 [&](const Contacts& r) {
                   auto list = b.initContacts(static_cast<unsigned>(r.found.size()));
                   for (unsigned i = 0; i < r.found.size(); ++i) {
                     list[i].setPhone(text(r.found[i].phone));
                     list[i].setUser(r.found[i].user.value);
                     auto devices = list[i].initDevices(static_cast<unsigned>(r.found[i].devices.size()));
                     for (unsigned j = 0; j < r.found[i].devices.size(); ++j)
                       fill_address(devices[j], r.found[i].devices[j]);
                   }
                 },
                 [&](const Done&) { b.setDone(); },
                 [&](const Users& r) {
                   auto list = b.initUsers(static_cast<unsigned>(r.users.size()));
                   for (unsigned i = 0; i < r.users.size(); ++i) list.set(i, r.users[i].value);
                 },
                 [&](const Devices& r) {
                   auto list = b.initDevices(static_cast<unsigned>(r.devices.size()));
                   for (unsigned i = 0; i < r.devices.size(); ++i) {
                     list[i].setDevice(r.devices[i].device.value);
                     list[i].setName(text(r.devices[i].name));
                     list[i].setCreatedAtMs(r.devices[i].created_at_ms);
                     list[i].setCurrent(r.devices[i].current);
                   }
                 },
                 [&](const auto& r) { fill(b, r); },
             },
             response.body);
}

}  // namespace barid::wire
