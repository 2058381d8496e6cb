-- The rooms of a visitor node: who comes to one is a visitor, whom the focus alone sees, and sees everybody of the main
-- room. Loaded for the node's rooms. What a moderator of the main room answers to a raised hand, and whom he makes a
-- visitor, goes through the component whose address is lab_visitors.
local st = require "util.stanza";
local jid = require "util.jid";
local uuid = require "util.uuid";
local lab = module:require "lab";

local ns = "jitsi:visitors";
local part = module:get_option_string("lab_visitors", "visitors.meet.test");

local function focus(at) return jid.resource(at) == "focus"; end
local function twin(room, host) return lab.room(jid.join(jid.node(room.jid), host)); end

module:hook("muc-occupant-pre-join", function(event)
	if not focus(event.occupant.nick) then event.occupant.role = "visitor"; end
end);

-- screen hides visitors from each other.
module:hook("muc-room-created", function(event)
	local room = event.room;
	local route, list = room.route_to_occupant, room.send_occupant_list;
	local function shown(me, from) return focus(me.nick) or focus(from) or me.nick == from; end
	function room:route_to_occupant(to, stanza)
		if stanza.name ~= "presence" or shown(to, stanza.attr.from) then return route(self, to, stanza); end
	end
	function room:send_occupant_list(to, filter)
		local me = self:get_occupant_by_real_jid(to);
		list(self, to, function(nick, o) return (not filter or filter(nick, o)) and me ~= nil and shown(me, nick); end);
	end
end);

-- mirror shows an occupant of the main room to a visitor.
local function mirror(node, to, occupant, gone)
	if focus(occupant.nick) then return; end
	local p = gone and st.presence({ type = "unavailable" }) or st.clone(occupant:get_presence());
	p.attr.from, p.attr.to = jid.join(jid.node(node.jid), module.host, jid.resource(occupant.nick)), to;
	p:maptags(function(child) if child.name ~= "x" then return child; end end);
	p:tag("x", { xmlns = "http://jabber.org/protocol/muc#user" })
		:tag("item", { affiliation = "none", role = gone and "none" or occupant.role, jid = occupant.jid }):up():up();
	node:route_stanza(p);
end

module:hook("muc-occupant-joined", function(event)
	local main = twin(event.room, lab.muc);
	if not main or focus(event.occupant.nick) then return; end
	for _, occupant in main:each_occupant() do mirror(event.room, event.occupant.jid, occupant); end
end);

lab.whenever(lab.muc, function(muc)
	local function changed(gone)
		return function(event)
			local node = event.room and twin(event.room, module.host);
			if not node then return; end
			for _, visitor in node:each_occupant() do
				if not focus(visitor.nick) then mirror(node, visitor.jid, event.occupant, gone); end
			end
		end;
	end
	muc:hook("muc-broadcast-presence", function(event)
		if event.occupant.role and event.stanza.attr.type == nil then changed(false)(event); end
	end, -10);
	muc:hook("muc-occupant-left", changed(true));
end);

-- What moderators say to the component.
lab.whenever(part, function(component)
	component:hook("message/host", function(event)
		local e = event.stanza:get_child("visitors", ns);
		local room, occupant = lab.seat(event.stanza.attr.from);
		if not e or not lab.leads(occupant) then return; end
		local answer, demote = e:get_child("promotion-response"), e:get_child("demote-request");
		local node = twin(room, module.host);
		local visitor = answer and node and node:get_occupant_by_nick(answer.attr.jid);
		if visitor then
			node:route_stanza(st.iq({ type = "set", id = uuid.generate(), from = node.jid, to = visitor.jid })
				:tag("visitors", { xmlns = ns, room = room.jid })
				:tag("promotion-response", { allow = answer.attr.allow, jid = answer.attr.jid, username = answer.attr.nick }):up():up());
		end
		local member = demote and room:get_occupant_by_nick(jid.join(jid.node(room.jid), jid.host(room.jid), demote.attr.id));
		if member then
			component:send(st.message({ from = part, to = member.jid })
				:tag("json-message", { xmlns = "http://jitsi.org/jitmeet", room = room.jid })
				:text(require "util.json".encode({ type = "visitors", action = "demote-request", id = demote.attr.id, actor = occupant.nick })):up());
		end
		return true;
	end, 10);
end);
