-- What everybody in a room knows of it: told whole before they are in, and at each change. Loaded for a component.
local json = require "util.json";
local lab = module:require "lab";

local rooms = setmetatable({}, { __mode = "k" });

local function message(room) return json.encode({ type = "room_metadata", metadata = rooms[room] or json.decode("{}") }); end

lab.command("room_metadata", "http://jitsi.org/jitmeet", function(room, _, e)
	local value = json.decode(e:get_text() or "");
	if type(value) ~= "table" or type(value.key) ~= "string" then return; end
	rooms[room] = rooms[room] or {};
	rooms[room][value.key] = value.data;
	lab.each(room, function(real) lab.tell(real, room, message(room)); end);
end);

lab.whenever(lab.muc, function(muc)
	muc:hook("muc-occupant-pre-join", function(event)
		lab.tell(event.stanza.attr.from, event.room, message(event.room));
	end, -100);
end);
