# What scripts/doctor does: what there is in each file, who fills and who reads there, and the rules of its kind.
# scripts/doctor puts this after the other doctor-*.jq. Inputs: {file, documents} for each file. Arguments: $data (a
# container's name or ""), $dest (where decant fills, or ""), $size (bytes on disk, or null), $fargate (the task is
# for Fargate, whatever it says), $list (print the rules instead).

def examine:
	[.[] | models | add_roles]
	| if length == 0 then error({ why: "no task definition, compose file or pod in it" })
	elif $data != "" and all(.data == []) then error({ why: "no container or service \($data) in it" })
	else
		# A file may have other pods beside the one with the data.
		(select(all(.data == [] and .unsure == [])) | .[0]
			| finding(if .where == "" then .kind | if . == "ecs" then "task" else "services" end else .where end;
				"\(.kind)-no-data"; "nothing to check but names: mount one volume in both, or name the \(.thing) with --data")),
		(.[] | if .kind == "ecs" then ecs_rules elif .kind == "compose" then compose_rules else k8s_rules end)
	end;

if $list then rules | to_entries[] | { rule: .key, severity: .value[0], finds: .value[1], source: .value[2] }
else
	inputs | .file as $file
	| { file: $file } + (.documents | try examine catch {
		unreadable: (if type == "object" then .why else "not as its kind should be: \(.)" end)
	})
end
