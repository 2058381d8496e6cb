-- The parts that make a Prosody one of a Jitsi deployment; the modules are the lab's own.
VirtualHost "meet.test"
  modules_enabled = { "lab_parts" }
  lab_parts = {
    av_moderation = "avmoderation.meet.test", room_metadata = "metadata.meet.test", lobbyrooms = "lobby.meet.test",
    breakout_rooms = "breakout.meet.test", end_conference = "endconference.meet.test",
    visitors = "visitors.meet.test",
  }

Component "conference.meet.test" "muc"
  modules_enabled = { "lab_lobby" }

Component "lobby.meet.test" "muc"
  restrict_room_creation = "admin"
  muc_room_locking = false
  muc_tombstones = false

Component "breakout.meet.test" "muc"
  modules_enabled = { "lab_breakout" }
  muc_room_locking = false
  muc_room_default_public_jids = true
  muc_tombstones = false

Component "avmoderation.meet.test" "lab_avmoderation"
Component "metadata.meet.test" "lab_metadata"
Component "endconference.meet.test" "lab_end"

-- A visitor node, which is another server elsewhere.
VirtualHost "v1.meet.test"
  authentication = "anonymous"

Component "conference.v1.meet.test" "muc"
  modules_enabled = { "lab_visitors" }
  restrict_room_creation = "admin"
  muc_room_locking = false
  muc_room_default_public_jids = true
  muc_tombstones = false

Component "visitors.meet.test" "lab_nothing"
