// Private to schemas/: directory requests and responses, shared by the client wire (wire.cpp) and the
// directory call over NATS (control.cpp); those about groups, and the groups' frames, are in wire_group.cpp, those
// about keys in wire_keys.cpp.
#pragma once

#include "schemas/wire_read.h"

namespace barid::wire {

// May throw what wire.cpp's decode catches (kj::Exception, or refuse()).
Request read_request(schema::Request::Reader reader);
Response read_response(schema::Response::Reader reader);
void fill_request(schema::Request::Builder builder, const Request& request);
void fill_response(schema::Response::Builder builder, const Response& response);

using RequestBody = decltype(Request::body);
using ResponseBody = decltype(Response::body);
RequestBody read_keys_request(schema::Request::Reader reader);
ResponseBody read_keys_response(schema::Response::Reader reader);
void fill(schema::Request::Builder builder, const UploadKeys&);
void fill(schema::Request::Builder builder, const KeysOf&);
void fill(schema::Request::Builder builder, const GetKeyStatus&);
void fill(schema::Response::Builder builder, const Keys&);
void fill(schema::Response::Builder builder, const KeyStatus&);

// wire_media.cpp
RequestBody read_media_request(schema::Request::Reader reader);
ResponseBody read_media_response(schema::Response::Reader reader);
void fill(schema::Request::Builder builder, const UploadMedia&);
void fill(schema::Request::Builder builder, const DownloadMedia&);
void fill(schema::Request::Builder builder, const DeleteMedia&);
void fill(schema::Request::Builder builder, const GetMediaUsage&);
void fill(schema::Response::Builder builder, const MediaUpload&);
void fill(schema::Response::Builder builder, const MediaUrl&);
void fill(schema::Response::Builder builder, const MediaUsage&);

RequestBody read_group_request(schema::Request::Reader reader);
ResponseBody read_group_response(schema::Response::Reader reader);
void fill(schema::Request::Builder builder, const CreateGroup&);
void fill(schema::Request::Builder builder, const EditGroup&);
void fill(schema::Request::Builder builder, const AddMembers&);
void fill(schema::Request::Builder builder, const RemoveMembers&);
void fill(schema::Request::Builder builder, const SetRole&);
void fill(schema::Request::Builder builder, const LeaveGroup&);
void fill(schema::Request::Builder builder, const DeleteGroup&);
void fill(schema::Request::Builder builder, const GetGroup&);
void fill(schema::Request::Builder builder, const ListGroups&);
void fill(schema::Request::Builder builder, const GroupInvite&);
void fill(schema::Request::Builder builder, const JoinByInvite&);
void fill(schema::Request::Builder builder, const ListJoinRequests&);
void fill(schema::Request::Builder builder, const AnswerJoinRequest&);
void fill(schema::Request::Builder builder, const SetPrivacy&);
void fill(schema::Request::Builder builder, const GetPrivacy&);
void fill(schema::Request::Builder builder, const EditContacts&);
void fill(schema::Response::Builder builder, const Privacy&);
void fill(schema::Response::Builder builder, const Group&);
void fill(schema::Response::Builder builder, const GroupList&);
void fill(schema::Response::Builder builder, const Invite&);
void fill(schema::Response::Builder builder, const JoinRequestList&);
void fill(schema::Response::Builder builder, const GroupChanged&);

GroupReceipt read_group_receipt(schema::GroupReceipt::Reader reader);
GroupEvent read_group_event(schema::GroupEvent::Reader reader);
void fill_group_receipt(schema::GroupReceipt::Builder builder, const GroupReceipt& receipt);
void fill_group_event(schema::GroupEvent::Builder builder, const GroupEvent& event);

// wire_presence.cpp
SetPrivacy read_set_privacy(schema::Privacy::Reader reader);
EditContacts read_edit_contacts(schema::EditContacts::Reader reader);
Privacy read_privacy(schema::Privacy::Reader reader);
Watch read_watch(schema::Watch::Reader reader);
Typing read_typing(schema::Typing::Reader reader);
Presence read_presence(schema::Presence::Reader reader);
PresenceEntry read_presence_entry(schema::PresenceEntry::Reader reader);
void fill_watch(schema::Watch::Builder builder, const Watch& watch);
void fill_typing(schema::Typing::Builder builder, const Typing& typing);
void fill_presence(schema::Presence::Builder builder, const Presence& presence);
void fill_presence_entry(schema::PresenceEntry::Builder builder, const PresenceEntry& entry);

}  // namespace barid::wire
