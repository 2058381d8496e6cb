-- The main domain names its parts, and where each is.
for kind, at in pairs(module:get_option("lab_parts", {})) do
	module:add_identity("component", kind, at);
end
