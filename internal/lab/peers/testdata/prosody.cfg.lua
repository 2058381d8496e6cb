-- Prosody of the lab: the hosts and rooms of a Jitsi deployment, with what stock Prosody 0.12 has.
pidfile = "@DIR@/prosody.pid"
data_path = "@DIR@/data"
run_as_root = true
plugin_paths = { "@PLUGINS@" }
log = { { levels = { min = "info" }, to = "file", filename = "@DIR@/prosody.log" } }
interfaces = { "127.0.0.1" }
c2s_ports = { @C2S@ }
c2s_direct_tls_ports = { @TLS@ }
component_interfaces = { "127.0.0.1" }
component_ports = { @COMPONENT@ }
http_ports = { @HTTP@ }
https_ports = { @HTTPS@ }
http_default_host = "meet.test"
http_external_url = "https://meet.test:@HTTPS@/"
s2s_ports = {}
modules_enabled = { "roster", "saslauth", "tls", "disco", "ping", "posix", "bosh", "websocket", "smacks", "external_services" }
modules_disabled = { "s2s", "offline" }

-- One certificate for all hosts, of the test's own authority.
ssl = { certificate = "@DIR@/server.crt", key = "@DIR@/server.key" }
c2s_direct_tls_ssl = { certificate = "@DIR@/server.crt", key = "@DIR@/server.key" }
https_ssl = { certificate = "@DIR@/server.crt", key = "@DIR@/server.key" }
c2s_require_encryption = true
consider_bosh_secure = true -- the browser of the lab comes over plain HTTP on loopback
consider_websocket_secure = true

storage = "memory"
admins = { "focus@auth.meet.test", "focus@focus.meet.test" }
component_admins_as_room_owners = true
external_services = { @SERVICES@ }

VirtualHost "meet.test"
  authentication = "anonymous"

VirtualHost "auth.meet.test"
  authentication = "internal_hashed"
  storage = "internal"

-- The hidden domain: who logs in here is no person.
VirtualHost "recorder.meet.test"
  authentication = "internal_hashed"
  storage = "internal"

-- A host for each SASL mechanism that the gateway knows.
VirtualHost "sha1.meet.test"
  authentication = "internal_hashed"
  storage = "internal"
  disable_sasl_mechanisms = { "PLAIN", "SCRAM-SHA-1-PLUS" }

VirtualHost "sha256.meet.test"
  authentication = "internal_hashed"
  password_hash = "SHA-256"
  storage = "internal"
  disable_sasl_mechanisms = { "PLAIN", "SCRAM-SHA-256-PLUS" }

VirtualHost "plain.meet.test"
  authentication = "internal_plain"
  storage = "internal"
  disable_sasl_mechanisms = { "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS" }

Component "conference.meet.test" "muc"
  restrict_room_creation = "admin"
  muc_room_locking = false
  muc_room_default_public_jids = true
  muc_tombstones = false

-- The brewery: gateways may create it.
Component "internal.auth.meet.test" "muc"
  muc_room_locking = false
  muc_room_default_public_jids = true

Component "focus.meet.test"
  component_secret = "focussecret"

@MORE@