-- Breakout rooms: made and closed by the main room's moderators, who send people there and back. Loaded for the breakout
-- rooms.
local st = require "util.stanza";
local jid = require "util.jid";
local uuid = require "util.uuid";
local lab = module:require "lab";

local prefix = "features/breakout-rooms/";
local main_of, rooms_of = {}, {}; -- address -> address; address -> address -> name

local function entry(at, name, main)
	local people, room = {}, lab.room(at);
	if room then
		for nick, occupant in room:each_occupant() do
			people[jid.resource(nick)] = { jid = occupant.jid, role = occupant.role };
		end
	end
	return { id = jid.node(at), jid = at, name = name, isMainRoom = main or nil, participants = people };
end

-- update tells everybody in the main room and beside it who is where.
local function update(main)
	if not rooms_of[main] then return; end
	local all = { [main] = entry(main, "", true) };
	for at, name in pairs(rooms_of[main]) do all[at] = entry(at, name); end
	for at in pairs(all) do
		local room = lab.room(at);
		if room then
			lab.each(room, function(real) lab.tell(real, room, { type = "breakout_rooms", event = prefix .. "update", rooms = all }); end);
		end
	end
end

local function move(room, real, to) lab.tell(real, room, { type = "breakout_rooms", event = prefix .. "move-to-room", roomJid = to }); end

local actions = {};

actions[prefix .. "add"] = function(main, e)
	local at = jid.join(uuid.generate(), module.host);
	rooms_of[main] = rooms_of[main] or {};
	rooms_of[main][at], main_of[at] = e.attr.subject or "", main;
	update(main);
end

actions[prefix .. "remove"] = function(main, e)
	local at = e.attr.breakoutRoomJid;
	if not rooms_of[main] or not rooms_of[main][at] then return; end
	rooms_of[main][at], main_of[at] = nil, nil;
	local room = lab.room(at);
	if room then
		lab.each(room, function(real) move(room, real, main); end);
		module:add_timer(3, function() -- they have gone by themselves
			if lab.room(at) then lab.room(at):destroy(main, "the breakout room is closed"); end
		end);
	end
	update(main);
end

actions[prefix .. "move-to-room"] = function(main, e)
	local to, who = e.attr.roomJid, e.attr.participantJid;
	local from = who and lab.room(who);
	local occupant = from and from:get_occupant_by_nick(who);
	if not occupant or to ~= main and not (rooms_of[main] and rooms_of[main][to]) then
		module:log("warn", "%s cannot be moved to %s", tostring(who), tostring(to));
		return;
	end
	for real in occupant:each_session() do move(from, real, to); end
end

module:hook("message/host", function(event)
	local e = event.stanza:get_child("breakout_rooms");
	if not e then return; end
	local room, occupant = lab.seat(event.stanza.attr.from);
	if not room then room, occupant = lab.seat(event.stanza.attr.from, module.host); end
	local main = room and (main_of[room.jid] or room.jid);
	if lab.leads(occupant) and actions[e.attr.type] then
		actions[e.attr.type](main, e);
	else
		module:log("warn", "%s commands and may not", event.stanza.attr.from);
	end
	return true;
end, 10);

-- A breakout room is one that was made; its focus comes as to any room.
module:hook("muc-room-pre-create", function(event)
	if main_of[event.room.jid] then return; end
	event.origin.send(st.error_reply(event.stanza, "cancel", "not-allowed", "no such breakout room", module.host));
	return true;
end, 20);

module:hook("muc-occupant-pre-join", function(event)
	local main = main_of[event.room.jid] and lab.room(main_of[event.room.jid]);
	local from = jid.bare(event.stanza.attr.from);
	if main and main:get_affiliation(from) == "owner" then
		event.room:set_affiliation(true, from, "owner");
		event.occupant.role = "moderator";
	end
end);

module:hook("muc-disco#info", function(event)
	local main = main_of[event.room.jid];
	if main then
		table.insert(event.form, { name = "muc#roominfo_isbreakout", label = "Breakout", type = "boolean", value = true });
		table.insert(event.form, { name = "muc#roominfo_breakout_main_room", label = "Main room", type = "text-single", value = main });
	end
end);

local function changed(event) update(main_of[event.room.jid] or event.room.jid); end

local function watch(muc)
	muc:hook("muc-occupant-joined", changed, -20);
	muc:hook("muc-occupant-left", changed, -20);
end

watch(module);
lab.whenever(lab.muc, function(muc)
	watch(muc);
	muc:hook("muc-room-destroyed", function(event)
		local all = rooms_of[event.room.jid] or {};
		rooms_of[event.room.jid] = nil;
		for at in pairs(all) do
			main_of[at] = nil;
			if lab.room(at) then lab.room(at):destroy(nil, event.reason); end
		end
	end);
end);
