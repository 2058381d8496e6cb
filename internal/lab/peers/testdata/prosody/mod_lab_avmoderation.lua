-- Who may unmute: on and off, and a list of those who may, per room and kind of media. Loaded for a component.
local lab = module:require "lab";
local array = require "util.array";

local rooms = setmetatable({}, { __mode = "k" }); -- room -> kind -> state

local function lists(room, kind, removed)
	local allowed = array();
	for nick in pairs(rooms[room][kind].allowed) do allowed:push(nick); end
	local message = { type = "av_moderation", room = room.jid, mediaType = kind, whitelists = { [kind] = allowed }, removed = removed };
	lab.each(room, function(real, occupant)
		if lab.leads(occupant) then lab.tell(real, room, message); end
	end);
end

local function switch(room, kind, on, actor)
	local was = rooms[room] and rooms[room][kind];
	if (was ~= nil) == on then return; end
	rooms[room] = rooms[room] or {};
	rooms[room][kind] = on and { actor = actor.nick, allowed = {} } or nil;
	lab.each(room, function(real)
		lab.tell(real, room, { type = "av_moderation", enabled = on, room = room.jid, actor = actor.nick, mediaType = kind });
	end);
end

local function allow(room, kind, nick, yes)
	local state = rooms[room] and rooms[room][kind];
	local occupant = state and room:get_occupant_by_nick(nick);
	if not occupant then return; end
	state.allowed[nick] = yes or nil;
	for real in occupant:each_session() do
		lab.tell(real, room, { type = "av_moderation", [yes and "approved" or "removed"] = true, room = room.jid, mediaType = kind });
	end
	lists(room, kind, not yes or nil);
end

lab.command("av_moderation", nil, function(room, occupant, e)
	local kind = e.attr.mediaType;
	if kind ~= "audio" and kind ~= "video" and kind ~= "desktop" then return; end
	if e.attr.enable then
		switch(room, kind, e.attr.enable == "true", occupant);
	elseif e.attr.jidToWhitelist then
		allow(room, kind, e.attr.jidToWhitelist, true);
	elseif e.attr.jidToBlacklist then
		allow(room, kind, e.attr.jidToBlacklist, false);
	end
end);

lab.whenever(lab.muc, function(muc)
	muc:hook("muc-occupant-joined", function(event)
		for kind, state in pairs(rooms[event.room] or {}) do
			for real in event.occupant:each_session() do
				lab.tell(real, event.room, { type = "av_moderation", enabled = true, room = event.room.jid, actor = state.actor, mediaType = kind });
			end
			lists(event.room, kind);
		end
	end, -10);
	muc:hook("muc-occupant-left", function(event)
		for _, state in pairs(rooms[event.room] or {}) do state.allowed[event.occupant.nick] = nil; end
	end);
end);
