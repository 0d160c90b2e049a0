# Turns words into the booleans that they are in YAML 1.1, where they stand without quotes. Input: what
# `yq --yaml-roundtrip tojson` makes of a document, in which an extra member behind an object's member, and an extra
# element at the end of an array, say how it was written. Output: the document without these.

def word:
	if IN("y", "Y", "yes", "Yes", "YES", "on", "On", "ON") then true
	elif IN("n", "N", "no", "No", "NO", "off", "Off", "OFF") then false
	else . end;

def is_note: type == "string" and startswith("__yq_");

def words:
	if type == "object" then
		to_entries as $all
		| reduce range($all | length) as $at ({};
			$all[$at] as { $key, $value }
			| if $key | is_note then .
				elif ($value | type) == "string" then
					.[$key] = if $all[$at + 1].key | is_note then $value else ($value | word) end
				else .[$key] = ($value | words) end)
	elif type == "array" then
		[.[] | select(is_note) | capture("^__yq_[a-z]+_(?<at>[0-9]+)_").at | tonumber] as $noted
		| [
			to_entries[] | select(.value | is_note | not)
			| if .value | type != "string" then .value | words
				elif .key | IN($noted[]) then .value
				else .value | word end
		]
	else . end;

words
