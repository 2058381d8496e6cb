-- What the parts of a meeting share: rooms, their people, and the two ways to tell them something.
local st = require "util.stanza";
local json = require "util.json";
local jid = require "util.jid";

local lab = {
	main = module:get_option_string("lab_main", "meet.test");
	muc = module:get_option_string("lab_muc", "conference.meet.test");
};

-- whenever calls f with the API of another host, once that host is there.
function lab.whenever(host, f)
	if prosody.hosts[host] then
		f(module:context(host));
		return;
	end
	module:hook_global("host-activated", function(name)
		if name == host then f(module:context(host)); end
	end);
end

-- rooms is the room service of a host.
function lab.rooms(host) return prosody.hosts[host or lab.muc].modules.muc; end

function lab.room(at)
	local host = jid.host(at);
	local known = prosody.hosts[host] and prosody.hosts[host].modules.muc;
	return known and known.get_room_from_jid(jid.bare(at));
end

-- seat finds where somebody sits, by the real address.
function lab.seat(real, host)
	for room in lab.rooms(host).each_room(true) do
		local occupant = room:get_occupant_by_real_jid(real);
		if occupant then return room, occupant; end
	end
end

-- leads reports whether an occupant may order others about.
function lab.leads(occupant) return occupant ~= nil and occupant.role == "moderator"; end

-- tell sends somebody JSON, as a part of the server does: from its own address to the real one.
function lab.tell(to, room, value)
	module:send(st.message({ from = module.host, to = to })
		:tag("json-message", { xmlns = "http://jitsi.org/jitmeet", room = room.jid })
		:text(type(value) == "string" and value or json.encode(value)):up());
end

-- each calls f for each real address in a room.
function lab.each(room, f)
	for _, occupant in room:each_occupant() do
		for real in occupant:each_session() do f(real, occupant); end
	end
end

-- command takes messages to the part itself that hold an element of that name, from who sits in a room of host.
function lab.command(name, xmlns, f, host)
	module:hook("message/host", function(event)
		local e = event.stanza:get_child(name, xmlns);
		if not e or event.stanza.attr.type == "error" then return; end
		local room, occupant = lab.seat(event.stanza.attr.from, host);
		if not lab.leads(occupant) then
			module:log("warn", "%s commands and may not", event.stanza.attr.from);
			event.origin.send(st.error_reply(event.stanza, "auth", "forbidden"));
			return true;
		end
		f(room, occupant, e, event);
		return true;
	end, 10);
end

return lab;
