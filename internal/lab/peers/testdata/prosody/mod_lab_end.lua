-- A moderator ends the meeting for all. Loaded for a component.
local lab = module:require "lab";

lab.command("end_conference", nil, function(room)
	room:destroy(nil, "The meeting has been terminated");
end);
