-- The rooms' lobbies: a room that is for members only has one, in which everybody else waits for a moderator. Loaded for
-- the rooms.
local st = require "util.stanza";
local json = require "util.json";
local jid = require "util.jid";
local lab = module:require "lab";

local host = module:get_option_string("lab_lobby", "lobby.meet.test");
local lobbies = {}; -- by address of the room

local function notify(room, event, value, nick)
	room:broadcast_message(st.message({ type = "groupchat", from = nick or room.jid })
		:tag("json-message", { xmlns = "http://jitsi.org/jitmeet" })
		:text(json.encode({ type = "lobby-notify", event = event, value = value })):up());
end

-- screen hides those who wait from each other.
local function screen(lobby)
	local function hidden(one, other)
		return one and other and one.nick ~= other.nick and not lab.leads(one) and not lab.leads(other);
	end
	local route, list = lobby.route_to_occupant, lobby.send_occupant_list;
	function lobby:route_to_occupant(to, stanza)
		if stanza.name == "presence" and hidden(to, self:get_occupant_by_nick(stanza.attr.from)) then return; end
		return route(self, to, stanza);
	end
	function lobby:send_occupant_list(to, filter)
		local me = self:get_occupant_by_real_jid(to);
		return list(self, to, function(nick, occupant)
			return (not filter or filter(nick, occupant)) and not hidden(me, occupant);
		end);
	end
end

local function open(room)
	local at = jid.join(jid.node(room.jid), host);
	lab.rooms(host).create_room(at);
	local lobby = lab.room(at);
	lobby:set_persistent(true);
	lobby:set_whois("moderators");
	lobby.lab_main = room;
	screen(lobby);
	lobbies[room.jid] = lobby;
	lab.each(room, function(real)
		if not room:get_affiliation(real) then room:set_affiliation(true, real, "member"); end
	end);
end

local function close(room, onward, why)
	local lobby = lobbies[room.jid];
	if not lobby then return; end
	lobbies[room.jid] = nil;
	lobby:set_persistent(false);
	lobby:destroy(onward, why);
end

module:hook("muc-config-submitted/muc#roomconfig_membersonly", function(event)
	local room = event.room;
	if event.value and not lobbies[room.jid] then
		open(room);
		notify(room, "LOBBY-ENABLED", true, room:get_occupant_jid(event.actor));
	elseif not event.value and lobbies[room.jid] then
		close(room, room.jid);
		notify(room, "LOBBY-ENABLED", false, room:get_occupant_jid(event.actor));
	end
end, 10);

module:hook("muc-room-destroyed", function(event) close(event.room, nil, event.reason); end);

module:hook("muc-disco#info", function(event)
	local lobby = lobbies[event.room.jid];
	if lobby then
		table.insert(event.form, { name = "muc#roominfo_lobbyroom", label = "Lobby", type = "text-single", value = lobby.jid });
	end
end);

-- Who is no member is told where to wait; who knows the password is a member.
module:hook("muc-occupant-pre-join", function(event)
	local room, stanza = event.room, event.stanza;
	local lobby = lobbies[room.jid];
	if not lobby or room:get_affiliation(stanza.attr.from) then return; end
	local x = stanza:get_child("x", "http://jabber.org/protocol/muc");
	local given, secret = x and x:get_child_text("password", "http://jabber.org/protocol/muc"), room:get_password();
	if secret and given == secret then
		room:set_affiliation(true, jid.bare(stanza.attr.from), "member");
		event.occupant.role = "participant"; -- it had none, as somebody without affiliation
		return;
	end
	local refusal = st.error_reply(stanza, "auth", "registration-required", nil, room.jid);
	refusal:get_child("error").attr.code = "407";
	refusal:get_child("error"):tag("lobbyroom", { xmlns = "http://jitsi.org/jitmeet" }):text(lobby.jid):up();
	event.origin.send(refusal);
	return true;
end, -4);

lab.whenever(host, function(lobbyside)
	-- A name is needed, and a moderator of the room is one of its lobby.
	lobbyside:hook("muc-occupant-pre-join", function(event)
		local main = event.room.lab_main;
		local from = event.stanza.attr.from;
		if not main then
			event.origin.send(st.error_reply(event.stanza, "cancel", "not-allowed"));
			return true;
		end
		if lab.leads(main:get_occupant_by_real_jid(from)) then
			event.room:set_affiliation(true, jid.bare(from), "owner");
			event.occupant.role = "moderator";
		elseif (event.stanza:get_child_text("nick", "http://jabber.org/protocol/nick") or "") == "" then
			event.origin.send(st.error_reply(event.stanza, "modify", "not-acceptable"));
			return true;
		end
	end, 5);
	-- A refusal is told in the room.
	lobbyside:hook("muc-pre-set-role", function(event)
		if event.room.lab_main and not event.role then notify(event.room.lab_main, "LOBBY-ACCESS-DENIED", event.occupant.nick); end
	end);
end);

module:hook("muc-invite", function(event)
	if lobbies[event.room.jid] then notify(event.room, "LOBBY-ACCESS-GRANTED", event.stanza.attr.to); end
end);
